# tries: the classic way out of a chroot, and pivot_root
# expect: held
os.mkdir(SCRATCH + "/jail")
outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY) if not REDUCED else os.open(SCRATCH, os.O_RDONLY)
attempt("chroot", lambda: os.chroot(SCRATCH + "/jail"), ("EPERM",))
attempt("pivot_root", lambda: syscall("pivot_root", b".", b"."), ("EPERM",))
os.fchdir(outside)
for _ in range(50):
    os.chdir("..")
attempt("the host's file", lambda: open("@OPEN_FILE@"[1:]).read())
os.chdir(WORKSPACE)
verdict()
