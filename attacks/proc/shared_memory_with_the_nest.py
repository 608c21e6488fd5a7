# tries: to find memory that it shares with the nest or with other sessions
# expect: held
shared = [line.strip() for line in open("/proc/self/maps") if line.split()[1][1:4:2] == "ws"]
print(f"BREACH: {shared}" if shared else "held: every writable mapping is private")
