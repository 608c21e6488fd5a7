# tries: to send a frame just past the limit
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<Ic", 16 * 1024 + 1, b"R") + b" " * 16385)
time.sleep(3)
