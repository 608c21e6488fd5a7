# tries: to restart, replace, read and stop the machine's kernel
# expect: held
attempt("reboot", lambda: syscall("reboot", 0xFEE1DEAD, 672274793, 0, None), ("EPERM",))  # Ctrl-Alt-Del off: no restart
attempt("kexec", lambda: syscall("kexec_load", 0, 0, None, 0), ("EPERM",))
for kind in (2, 3, 4, 9, 10):
    attempt(f"syslog {kind}", lambda: syscall("syslog", kind, ctypes.create_string_buffer(64), 64), ("EPERM",))
attempt("acct", lambda: syscall("acct", None), ("EPERM",))
attempt("swapon", lambda: syscall("swapon", b"/dev/zero", 0), ("EPERM",))
attempt("quota", lambda: syscall("quotactl", 0x800007 << 8, b"/dev/sda", 0, None), ("EPERM",))
attempt("iopl", lambda: syscall("iopl", 3), ("EPERM", "ENOSYS"))
verdict()
