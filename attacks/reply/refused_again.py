# tries: to report a refusal of the wall, so that the server blames itself
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<Ic", 4, b"F") + b"egg\n")
time.sleep(3)
