# tries: to put a pipe of its own in place of its channel
# expect: error: session ended: it broke the server's protocol or closed its channel
reader, writer = os.pipe()
kept = os.dup(writer)
try:
    os.dup2(reader, CHANNEL)
except OSError:
    os.close(CHANNEL)
time.sleep(3)
