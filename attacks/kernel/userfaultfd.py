# tries: to stop the kernel in the middle of a copy
# expect: held
for flags in (0, 1, 0o2000000, 0o4000):
    attempt(f"userfaultfd {flags:o}", lambda: syscall("userfaultfd", flags), ("EPERM",))
attempt("device", lambda: os.open("/dev/userfaultfd", os.O_RDWR))
verdict()
