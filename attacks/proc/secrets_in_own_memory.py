# tries: to find what the server or the nest knew in the memory it was forked with
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
import re
# Patterns that do not match themselves, as they lie in memory too.
needles = [re.compile(text) for text in (b"marmalade-on-the-hos[t]", b"API_KE[Y]=", b"eggbox serv[e]")]
found = []
for line in open("/proc/self/maps"):
    bounds, permissions, *_ = line.split()
    start, end = (int(bound, 16) for bound in bounds.split("-"))
    if permissions.startswith("rw") and "[v" not in line and end - start < 1 << 28:
        data = ctypes.string_at(start, end - start)
        found += [needle.pattern.decode() for needle in needles if needle.search(data)]
print(f"BREACH: {found}" if found else "held: nothing of the server's in memory")
