# tries: to set the host's clock and name
# expect: held
now = struct.pack("qq", int(time.time()), 0)
attempt("settimeofday", lambda: syscall("settimeofday", now, None), ("EPERM",))
attempt("clock_settime", lambda: syscall("clock_settime", 0, now), ("EPERM",))
attempt("clock_adjtime", lambda: syscall("clock_adjtime", 0, b"\0" * 208), ("EPERM",))
attempt("sethostname", lambda: socket.sethostname("egg"), ("EPERM",))
attempt("name by /proc", lambda: open("/proc/sys/kernel/hostname", "w").write("egg"))
attempt("domain", lambda: checked(libc.setdomainname(b"egg", 3)), ("EPERM",))
verdict()
