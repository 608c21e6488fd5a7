# tries: to have the server read a file, a device or a descriptor of its own in the place of the session's output
# expect: error: session ended: it broke the server's protocol
secret = os.open(WORKSPACE + "/not-a-pipe", os.O_RDWR | os.O_CREAT)
body = struct.pack("<Iii", 1, secret, 2)
os.write(CHANNEL, struct.pack("<IB", len(body), ord("N")) + body)
