# tries: to signal the server, the nest and a process of the host, by every call that can
# expect: held
for pid in {int("@SERVER_PID@"), int("@CANARY_PID@"), os.getppid() or 2}:
    attempt(f"kill {pid}", lambda: os.kill(pid, 0), ("ESRCH", "EPERM"))
    attempt(f"kill {pid} CONT", lambda: os.kill(pid, signal.SIGCONT), ("ESRCH", "EPERM"))
    attempt(f"tkill {pid}", lambda: syscall("tkill", pid, signal.SIGCONT), ("ESRCH", "EPERM"))
    attempt(f"tgkill {pid}", lambda: syscall("tgkill", pid, pid, signal.SIGCONT), ("ESRCH", "EPERM"))
    attempt(f"group {pid}", lambda: os.killpg(pid, signal.SIGCONT), ("ESRCH", "EPERM"))
    information = struct.pack("iii116x", signal.SIGCONT, 0, -1)
    attempt(f"sigqueue {pid}", lambda: syscall(129 if platform.machine() == "x86_64" else 138, pid, signal.SIGCONT, information), ("ESRCH", "EPERM"))
verdict()
