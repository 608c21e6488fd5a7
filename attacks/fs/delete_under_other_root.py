# tries: to see the workspace under another path, where no rule applies
# expect: held
open("file", "w").write("egg"); os.mkdir(SCRATCH + "/point")
point = (SCRATCH + "/point").encode()
bind = 4096
attempt("bind", lambda: checked(libc.mount(WORKSPACE.encode(), point, None, bind, None)))
attempt("over", lambda: checked(libc.mount(b"none", WORKSPACE.encode(), b"tmpfs", 0, None)))
attempt("away", lambda: checked(libc.umount2(WORKSPACE.encode(), 2)))
attempt("open_tree", lambda: syscall("open_tree", -100, WORKSPACE.encode(), 1))
attempt("unlink", lambda: checked(libc.unlink(point + b"/file")))
if not os.path.exists("file"):
    successes.append("it is gone")
verdict()
