# tries: to have a second name elsewhere and remove the first
# expect: held
open("file", "w").write("egg")
os.link("file", "second")
attempt("link to scratch", lambda: os.link("file", SCRATCH + "/third") or checked(libc.unlink(b"file")))
attempt("unlink", lambda: checked(libc.unlink(b"file")))
attempt("unlink second", lambda: checked(libc.unlink(b"second")))
attempt("rename onto its twin", lambda: syscall("renameat2", -100, b"second", -100, b"third", 0))
if not (os.path.exists("file") and os.path.exists("second")):
    successes.append("a name is gone")
verdict()
