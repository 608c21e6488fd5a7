# tries: to find a descriptor that was not meant for it
# expect: held
found = []
for number in range(3, 1024):
    try:
        os.fstat(number)
        found.append((number, os.readlink(f"/proc/self/fd/{number}")))
    except OSError:
        pass
found = [entry for entry in found if entry[0] not in (REQUESTS, CHANNEL, VALUES, CODE)]
kinds = [os.readlink(f"/proc/self/fd/{number}").split(":")[0] for number in (0, 1, 2, REQUESTS, CHANNEL, VALUES, CODE)]
good = not found and kinds == ["/dev/null", "pipe", "pipe", "socket", "pipe", "pipe", "/memfd"]
print(f"held: {kinds}" if good else f"BREACH: {found} {kinds}")
