# tries: to replace a file by renaming another over it, from inside and from scratch
# expect: held
open("file", "w").write("egg")
for source in ("new", SCRATCH + "/new"):
    open(source, "w").write("new")
    attempt(source, lambda: checked(libc.rename(source.encode(), b"file")))
    attempt(source + " renameat2", lambda: syscall("renameat2", -100, source.encode(), -100, b"file", 0))
if open("file").read() != "egg":
    successes.append("it was replaced")
verdict()
