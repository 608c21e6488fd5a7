# tries: to overflow the parser's stack, or to keep it busy
# expect: error: session ended: it broke the server's protocol
body = b"[" * 16000
os.write(CHANNEL, struct.pack("<Ic", len(body), b"R") + body)
time.sleep(3)
