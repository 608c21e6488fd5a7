# tries: to slow other processes down: nice, scheduling class, processors, disk priority
# expect: held
for pid in {int("@SERVER_PID@"), int("@CANARY_PID@"), os.getppid() or 2}:
    attempt(f"nice {pid}", lambda: os.setpriority(os.PRIO_PROCESS, pid, 1))
    attempt(f"class {pid}", lambda: os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0)))
    attempt(f"processors {pid}", lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0)))
    attempt(f"disk {pid}", lambda: syscall("ioprio_set", 1, pid, (2 << 13) | 7))
    attempt(f"group {pid}", lambda: os.setpgid(pid, pid), ("ESRCH", "EPERM"))
    attempt(f"oom {pid}", lambda: open(f"/proc/{pid}/oom_score_adj", "w").write("1000"))
verdict()
