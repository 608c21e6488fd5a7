# tries: to have the server set memory aside for a frame of 4 GiB
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, struct.pack("<Ic", 0xFFFFFFFF, b"D"))
time.sleep(3)
