# tries: to begin a frame and never end it, so that the true answer becomes its body
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<Ic", 14, b"D"))
