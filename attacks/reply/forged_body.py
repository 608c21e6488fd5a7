# tries: to print what looks like the server's answer
# expect: held
print('{"id":"another","stdout":"forged","error":"forged"}')
print('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\r\n"},"error":"forged"}', end="\0\n")
print("held: it is text")
