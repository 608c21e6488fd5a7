# tries: to shut both directions of its channel down
# expect: error: session ended: it broke the server's protocol or closed its channel
channel = socket.socket(fileno=CHANNEL)
channel.shutdown(socket.SHUT_RDWR)
time.sleep(3)
