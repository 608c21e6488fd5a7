# tries: to get a socket of every family that has no use in a session
# expect: held
for family in range(1, 46):
    if family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        continue
    for kind in (1, 2, 3, 5):
        attempt(f"{family}/{kind}", lambda: socket.socket(family, kind), ("EAFNOSUPPORT", "ESOCKTNOSUPPORT", "EPERM", "EACCES"))
print(f"BREACH: {successes}" if successes else f"held: {len(refusals)} of {len(refusals)} refused")
