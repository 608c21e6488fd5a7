# tries: to delete by way of a link to the workspace that lies in scratch
# expect: held
open("file", "w").write("egg"); os.mkdir("empty")
os.symlink(WORKSPACE, SCRATCH + "/link")
os.symlink(SCRATCH + "/link", SCRATCH + "/again")
for path in (SCRATCH + "/link/file", SCRATCH + "/again/file", SCRATCH + "/again/empty/../file"):
    attempt("os " + path, lambda: os.remove(path))
    attempt("libc " + path, lambda: checked(libc.unlink(path.encode())))
attempt("rmdir", lambda: checked(libc.rmdir((SCRATCH + "/link/empty").encode())))
if not os.path.exists("file") or not os.path.isdir("empty"):
    successes.append("something is gone")
verdict()
