# tries: to keep the server busy with one byte after another of a frame that is never whole; it swallows the true answer
# expect: error: execution timeout: 6 s of wall time are over; session state lost
os.write(CHANNEL, struct.pack("<Ic", 16 * 1024, b"R"))
for _ in range(2000):
    os.write(CHANNEL, b" ")
