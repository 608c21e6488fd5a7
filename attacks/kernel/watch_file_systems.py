# tries: to watch whole file systems, and to flush them
# expect: held
for flags in (0, 1, 4, 8, 0x200, 0x600):
    attempt(f"fanotify {flags:x}", lambda: syscall("fanotify_init", flags, 0), ("EPERM",))
attempt("syncfs", lambda: syscall("syncfs", os.open(SCRATCH, os.O_RDONLY)), ("EPERM",))
attempt("freeze", lambda: syscall("ioctl", os.open(SCRATCH, os.O_RDONLY), 0xC0045877, 0))
verdict()
