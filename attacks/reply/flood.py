# tries: to flood the channel from many threads
# expect: error: session ended: it broke the server's protocol
def flood():
    while True:
        os.write(CHANNEL, b"\xff" * 65536)
for _ in range(8):
    threading.Thread(target=flood, daemon=True).start()
time.sleep(3)
