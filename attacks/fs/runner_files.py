# tries: to change the files of the runner that the next nest starts from
# expect: held
folder = "@STATE_DIR@/runtime" if REDUCED else "/run/eggbox"
for name in ("session.py", "nest.py", "native.so"):
    attempt("write " + name, lambda: open(f"{folder}/{name}", "ab"))
    attempt("unlink " + name, lambda: checked(libc.unlink(f"{folder}/{name}".encode())))
    attempt("replace " + name, lambda: (open(SCRATCH + "/x", "w"), checked(libc.rename((SCRATCH + "/x").encode(), f"{folder}/{name}".encode()))))
attempt("make", lambda: open(folder + "/json.py", "w"))
attempt("chmod", lambda: os.chmod(folder, 0o777))
verdict()
