# tries: to read the requests of its channel in threads of its own, past the runner
# expect: held
def steal():
    while True:
        os.read(CHANNEL, 65536)
for _ in range(4):
    threading.Thread(target=steal, daemon=True).start()
# The next request, which `check` makes, is answered in any case.
print("held: it steals from its own session alone")
