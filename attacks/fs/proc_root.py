# tries: to reach the host's root through /proc
# expect: held
for pid in ("self", "1", "thread-self", str(os.getppid() or 1), "@SERVER_PID@", "@CANARY_PID@"):
    for part in ("root", "cwd"):
        attempt(f"{pid}/{part}", lambda: open(f"/proc/{pid}/{part}@OPEN_FILE@").read())
        attempt(f"{pid}/{part}", lambda: os.listdir(f"/proc/{pid}/{part}/../../../../../../home"))
verdict()
