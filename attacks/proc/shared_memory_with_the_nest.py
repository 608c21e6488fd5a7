# tries: to find memory that it shares with the nest or with other sessions
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
shared = [line.strip() for line in open("/proc/self/maps") if line.split()[1][1:4:2] == "ws"]
print(f"BREACH: {shared}" if shared else "held: every writable mapping is private")
