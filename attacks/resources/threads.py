# tries: to start as many threads as it likes (a hundred)
# expect: held
# expect user: absent: threads are counted by uid, and sessions share the server's (SECURITY.md says so)
# expect reduced-user: absent: threads are counted by uid, and sessions share the server's (SECURITY.md says so)
over = threading.Event()
threads = []
try:
    for _ in range(100):
        threads.append(threading.Thread(target=over.wait, daemon=True))
        threads[-1].start()
    text = f"BREACH: {len(threads)} threads and no end"
except RuntimeError as error:
    text = f"held: {error} after {len(threads)}"
over.set()
print(text)
