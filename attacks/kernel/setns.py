# tries: to enter the namespaces of the host, the nest and another process
# expect: held
for pid in ("self", "1", "@SERVER_PID@", str(os.getppid())):
    for name in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"):
        attempt(f"{pid}/{name}", lambda: syscall("setns", os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), 0))
attempt("by pidfd", lambda: syscall("setns", syscall("pidfd_open", os.getpid(), 0), 0x20000))
verdict()
