# tries: to answer a question of a server that takes sessions over, which nobody has asked
# expect: error: session ended: it broke the server's protocol
body = struct.pack("<QQB", 1, 1, 0)
os.write(CHANNEL, struct.pack("<IB", len(body), ord("I")) + body)
while True:
    pass
