# tries: to close every descriptor
# expect: error: session ended: it broke the server's protocol or closed its channel
os.closerange(0, 1 << 20)
time.sleep(3)
