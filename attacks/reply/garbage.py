# tries: to write garbage on its channel
# expect: error: session ended: it broke the server's protocol
os.write(CHANNEL, b"garbage and more garbage")
time.sleep(3)
