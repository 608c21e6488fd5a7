# tries: to report itself ready a second time, with a wall of its own invention
# expect: error: session ended: it broke the server's protocol
body = b'[{"layer":"seccomp","state":"absent","why":"none","detail":""}]'
os.write(CHANNEL, struct.pack("<Ic", len(body), b"R") + body)
time.sleep(3)
