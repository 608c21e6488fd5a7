# tries: to have the kernel signal a process of the host: the owner of a descriptor, a timer, a parent's death
# expect: held
import fcntl
reader, writer = os.pipe()
for pid in (int("@CANARY_PID@"), int("@SERVER_PID@"), -int("@CANARY_PID@")):
    try:
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, 10, signal.SIGTERM)  # F_SETSIG
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(writer, b"egg")
        refusals.append(f"{pid}: `check` sees whether it arrived")
    except OSError as error:
        refusals.append(f"{pid}: {error.strerror}")
    attempt(f"timer {pid}", lambda: checked(libc.timer_create(0, struct.pack("QiiI44x", 0, signal.SIGTERM, 4, abs(pid)), ctypes.byref(ctypes.c_void_p()))))
verdict()
