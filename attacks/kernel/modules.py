# tries: to load a module, by call and by asking for a rare file system or algorithm
# expect: held
attempt("init", lambda: syscall("init_module", b"\x7fELF", 4, b""), ("EPERM",))
attempt("finit", lambda: syscall("finit_module", 0, b"", 0), ("EPERM",))
attempt("modprobe", lambda: os.posix_spawn("/sbin/modprobe", ["modprobe", "dummy"], {}) and checked(-1))
attempt("AF_ALG", lambda: socket.socket(38, 5))
attempt("delete", lambda: syscall(176 if platform.machine() == "x86_64" else 106, b"dummy", 0), ("EPERM",))
verdict()
