# tries: to find the arguments of a process of the host
# expect: held
found = []
for pid in [*range(1, 400), int("@CANARY_PID@"), int("@SERVER_PID@")]:
    try:
        line = open(f"/proc/{pid}/cmdline", "rb").read()
        if b"argument-" in line or b"serve" in line:
            found.append(line[:60])
    except OSError:
        pass
print(f"BREACH: {found}" if found else "held: no such process in sight")
