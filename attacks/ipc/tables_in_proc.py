# tries: to list the host's System V objects
# expect: held
for name in ("shm", "sem", "msg"):
    try:
        rows = open("/proc/sysvipc/" + name).read().splitlines()[1:]
        successes += rows
        refusals.append(f"{name}: empty")
    except OSError as error:
        refusals.append(f"{name}: {error.strerror}")
verdict()
