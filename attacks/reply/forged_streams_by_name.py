# tries: to have the server open a pipe with a name, on which it would wait for somebody
# expect: error: session ended: it broke the server's protocol
os.mkfifo(SCRATCH + "/pipe")
named = os.open(SCRATCH + "/pipe", os.O_RDWR)
body = struct.pack("<Iii", 1, named, named)
os.write(CHANNEL, struct.pack("<IB", len(body), ord("N")) + body)
