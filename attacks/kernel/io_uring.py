# tries: to get a ring, by which calls pass no filter
# expect: held
parameters = ctypes.create_string_buffer(120)
attempt("setup", lambda: syscall("io_uring_setup", 8, parameters), ("EPERM",))
attempt("enter", lambda: syscall(426, 0, 1, 0, 0, None, 0), ("EPERM",))
attempt("register", lambda: syscall(427, -1, 0, None, 0), ("EPERM",))
verdict()
