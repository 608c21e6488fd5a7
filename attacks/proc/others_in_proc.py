# tries: to read what /proc shows of the server, a process of the host and the nest
# expect: held
for pid in ("@SERVER_PID@", "@CANARY_PID@", str(os.getppid()) if os.getppid() else "2"):
    for name in ("environ", "cmdline", "maps", "mem", "status", "stat", "io", "auxv", "syscall", "stack", "wchan", "comm", "limits", "mountinfo", "task"):
        path = f"/proc/{pid}/{name}"
        attempt(path, lambda: open(path, "rb").read(100) if name != "task" else os.listdir(path), ("ENOENT", "EACCES", "EPERM"))
    for name in ("exe", "fd", "fd/0", "ns/user", "ns/mnt", "root", "cwd"):
        path = f"/proc/{pid}/{name}"
        attempt(path, lambda: os.open(path, os.O_RDONLY), ("ENOENT", "EACCES", "EPERM"))
        attempt("link " + path, lambda: os.readlink(path), ("ENOENT", "EACCES", "EPERM", "EINVAL"))
verdict()
