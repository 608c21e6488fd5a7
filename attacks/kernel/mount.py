# tries: to mount file systems, bind folders and change mounts
# expect: held
os.mkdir(SCRATCH + "/point")
point = (SCRATCH + "/point").encode()
bind, remount, move, private = 4096, 32, 8192, 1 << 18
for kind in ("tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "overlay", "devpts", "ramfs", "mqueue", "bpf", "debugfs", "fuse", "ext4", "binfmt_misc"):
    attempt(kind, lambda: checked(libc.mount(b"none", point, kind.encode(), 0, None)), ("EPERM",))
attempt("bind", lambda: checked(libc.mount(b"/", point, None, bind, None)), ("EPERM",))
attempt("remount", lambda: checked(libc.mount(None, b"/", None, remount | bind, None)), ("EPERM",))
attempt("move", lambda: checked(libc.mount(b"/tmp", point, None, move, None)), ("EPERM",))
attempt("private", lambda: checked(libc.mount(None, b"/", None, private, None)), ("EPERM",))
for path in (b"/", b"/proc", b"/tmp", b"/usr", b"/dev/shm"):
    attempt(f"umount {path}", lambda: checked(libc.umount2(path, 2)), ("EPERM",))
verdict()
