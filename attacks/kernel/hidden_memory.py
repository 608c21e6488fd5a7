# tries: calls that hide, lend or place memory, each with a record of holes
# expect: held
attempt("memfd_secret", lambda: syscall("memfd_secret", 0), ("EPERM",))
reader, writer = os.pipe()
page = ctypes.create_string_buffer(4096)
attempt("vmsplice", lambda: syscall("vmsplice", writer, struct.pack("QQ", ctypes.addressof(page), 4096), 1, 0), ("EPERM",))
attempt("mbind", lambda: syscall("mbind", ctypes.addressof(page), 4096, 0, None, 0, 0), ("EPERM",))
attempt("process_madvise", lambda: syscall("process_madvise", 0, None, 0, 0, 0), ("EPERM",))
attempt("process_mrelease", lambda: syscall("process_mrelease", 0, 0), ("EPERM",))
attempt("aio", lambda: syscall(206 if platform.machine() == "x86_64" else 0, 8, ctypes.byref(ctypes.c_ulong())), ("ENOSYS", "EPERM"))
verdict()
