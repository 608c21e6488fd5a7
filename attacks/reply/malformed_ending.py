# tries: to end in a way that there is not
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 1, 200))
time.sleep(3)
