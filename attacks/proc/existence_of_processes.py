# tries: to learn which processes there are without /proc
# expect: held
# expect reduced: absent: no pid namespace, so the numbers can be asked for (SECURITY.md says so)
# expect reduced-user: absent: no pid namespace, so the numbers can be asked for (SECURITY.md says so)
for pid in (int("@SERVER_PID@"), int("@CANARY_PID@")):
    attempt(f"getpgid {pid}", lambda: os.getpgid(pid), ("ESRCH",))
    attempt(f"stat {pid}", lambda: os.stat(f"/proc/{pid}"), ("ENOENT",))
verdict()
