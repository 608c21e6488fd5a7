# tries: to start as many threads as it likes (a hundred)
# expect: held
# expect reduced-user: error: session ended: process limit exceeded
over = threading.Event()
threads = []
try:
    for _ in range(100):
        threads.append(threading.Thread(target=over.wait, daemon=True))
        threads[-1].start()
    time.sleep(3)
    text = f"BREACH: {len(threads)} threads and no end"
except RuntimeError as error:
    text = f"held: {error} after {len(threads)}"
over.set()
print(text)
