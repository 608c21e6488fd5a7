# tries: to put a nameless file in place of a file that is there
# expect: held
open("file", "w").write("egg")
at = os.open(".", os.O_TMPFILE | os.O_RDWR)
os.write(at, b"new")
attempt("linkat", lambda: os.link(f"/proc/self/fd/{at}", "file", follow_symlinks=True))
attempt("AT_EMPTY_PATH", lambda: checked(libc.linkat(at, b"", -100, b"file", 0x1000)))
try:
    os.link(f"/proc/self/fd/{at}", "second", follow_symlinks=True)
except OSError:
    open("second", "w").close()
attempt("rename", lambda: checked(libc.rename(b"second", b"file")))
if open("file").read() != "egg":
    successes.append("it was replaced")
verdict()
