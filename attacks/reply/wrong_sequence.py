# tries: to answer an execution that is not the one that runs
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 999, 0))
time.sleep(3)
