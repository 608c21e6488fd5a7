# tries: the same by way of a descriptor that only names the file
# expect: held
for path in ("@CLOSED_FILE@", "@WRITABLE_FILE@", "@DROP_FOLDER@"):
    def by_descriptor(call):
        at = os.open(path, os.O_PATH)
        return call(f"/proc/self/fd/{at}", at)
    attempt("chmod " + path, lambda: by_descriptor(lambda name, at: os.chmod(name, 0o777)))
    attempt("fchmod " + path, lambda: by_descriptor(lambda name, at: os.fchmod(at, 0o777)))
    attempt("utime " + path, lambda: by_descriptor(lambda name, at: os.utime(name)))
    attempt("fchownat " + path, lambda: by_descriptor(lambda name, at: checked(libc.fchownat(at, b"", os.getuid(), os.getgid(), 0x1000))))
verdict()
