# tries: the same on the interpreter's own files, which may be the server's user's
# expect: held
import fcntl
for path in (sys.executable, os.__file__, "@OPEN_FILE@"):
    def lease():
        with open(path, "rb") as at:
            return fcntl.fcntl(at, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    attempt(path, lease)
verdict()
