# tries: to change mode, owner, times and attributes of the host's files, which needs no opening
# expect: held
for path in ("@CLOSED_FILE@", "@WRITABLE_FILE@", "@DROP_FOLDER@"):
    attempt("chmod " + path, lambda: os.chmod(path, 0o777))
    attempt("utime " + path, lambda: os.utime(path))
    attempt("chown " + path, lambda: os.chown(path, os.getuid(), os.getgid()))
    attempt("setxattr " + path, lambda: os.setxattr(path, "user.egg", b"egg"))
    attempt("removexattr " + path, lambda: os.removexattr(path, "user.egg"))
verdict()
