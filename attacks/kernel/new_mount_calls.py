# tries: to do the same by the newer calls
# expect: held
attempt("fsopen", lambda: syscall("fsopen", b"tmpfs", 0), ("EPERM",))
attempt("open_tree", lambda: syscall("open_tree", -100, b"/", 1), ("EPERM",))
attempt("move_mount", lambda: syscall("move_mount", -100, b"/tmp", -100, b"/", 0), ("EPERM",))
attempt("fsmount", lambda: syscall("fsmount", 0, 0, 0), ("EPERM",))
attempt("mount_setattr", lambda: syscall("mount_setattr", -100, b"/", 0, b"\0" * 32, 32), ("EPERM",))
attempt("statmount", lambda: syscall("statmount", b"\0" * 64, b"\0" * 64, 64, 0), ("EPERM",))
attempt("listmount", lambda: syscall("listmount", b"\0" * 64, b"\0" * 64, 8, 0), ("EPERM",))
verdict()
