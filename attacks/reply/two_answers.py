# tries: to answer twice at once, for this execution and the next
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 1, 0) + struct.pack("<IcQB", 9, b"D", 2, 0))
time.sleep(3)
