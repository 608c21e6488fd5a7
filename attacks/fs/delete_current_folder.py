# tries: to remove the folder it stands in, and the workspace itself
# expect: held
os.mkdir("inner")
os.chdir("inner")
attempt("rmdir by path", lambda: checked(libc.rmdir((WORKSPACE + "/inner").encode())))
attempt("rmdir by ..", lambda: checked(libc.rmdir(b"../inner")))
attempt("rename", lambda: checked(libc.rename(b"../inner", b"../outer")))
os.chdir("/")
attempt("workspace", lambda: checked(libc.rmdir(WORKSPACE.encode())))
attempt("rename workspace", lambda: checked(libc.rename(WORKSPACE.encode(), (SCRATCH + "/w").encode())))
os.chdir(WORKSPACE)
if not os.path.isdir("inner"):
    successes.append("it is gone")
verdict()
