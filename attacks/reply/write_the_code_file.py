# tries: to change the code that others run by the file that its own comes in, or to fill the host's memory by it
# expect: held
import fcntl
attempt("write", lambda: os.write(CODE, b"print('other')"), ("EBADF",))
attempt("grow", lambda: os.ftruncate(CODE, 1 << 30), ("EINVAL", "EPERM"))
attempt("unseal", lambda: fcntl.fcntl(CODE, 1033, 0), ("EPERM", "EINVAL"))
path = f"/proc/self/fd/{CODE}"
try:
    again = os.open(path, os.O_RDWR)
except OSError as error:
    refusals.append(f"open again: {error.strerror}")
else:
    # Where the uid is shared: within its own size, and to nobody's harm but its own.
    attempt("grow again", lambda: os.ftruncate(again, 100 << 20), ("EPERM",))
    attempt("write past the end", lambda: os.pwrite(again, b"x", 1 << 30), ("EPERM", "EFBIG"))
verdict()
