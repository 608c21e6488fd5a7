# tries: to write a file larger than a session may
# expect: held
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for path in (WORKSPACE + "/big", SCRATCH + "/big"):
    with open(path, "wb") as out:
        attempt("sparse " + path, lambda: out.truncate((256 << 20) + 1), ("EFBIG", "ENOSPC"))
        attempt("seek " + path, lambda: os.pwrite(out.fileno(), b"x", 1 << 40), ("EFBIG",))
        attempt("fallocate " + path, lambda: os.posix_fallocate(out.fileno(), 0, 300 << 20), ("EFBIG", "ENOSPC"))
at = os.memfd_create("big")
attempt("in memory", lambda: os.ftruncate(at, 1 << 40), ("EFBIG",))
verdict()
