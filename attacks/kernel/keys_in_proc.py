# tries: to list the keys of other users
# expect: held
for name in ("keys", "key-users"):
    try:
        lines = [line for line in open("/proc/" + name).read().splitlines() if " user " in line and "eggbox" not in line]
        successes += lines[:1] if name == "keys" else []
        refusals.append(f"{name}: nobody's keys")
    except OSError as error:
        refusals.append(f"{name}: {error.strerror}")
verdict()
