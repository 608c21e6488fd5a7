# tries: to find root of the host behind an id of its user namespace
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
rows = [[int(word) for word in line.split()] for line in open("/proc/self/uid_map")]
mapped = any(outside == 0 or inside == 0 for inside, outside, _ in rows)
print(f"BREACH: {rows}" if mapped else f"held: {rows}")
