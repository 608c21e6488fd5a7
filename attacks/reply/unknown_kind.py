# tries: to send the server a request
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<IcQ", 8 + 5, b"X", 1) + b"1 + 1")
time.sleep(3)
