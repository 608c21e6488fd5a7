# tries: to make namespaces of its own, one kind at a time and all at once
# expect: held
for name, flag in dict(time=0x80, mount=0x20000, cgroup=0x02000000, uts=0x04000000, ipc=0x08000000, user=0x10000000, pid=0x20000000, net=0x40000000).items():
    attempt(name, lambda: syscall("unshare", flag), ("EPERM",))
attempt("user and all", lambda: syscall("unshare", 0x7E020080), ("EPERM",))
attempt("files", lambda: syscall("unshare", 0x400), ("EPERM",))
verdict()
