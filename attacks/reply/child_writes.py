# tries: to have children write on the channel
# expect: error: session ended: it broke the server's protocol
child = os.fork()
if not child:
    os.write(CHANNEL, b"from a child of its own")
    os._exit(0)
os.waitpid(child, 0)
time.sleep(3)
