# tries: to swap a file out of the workspace with renameat2 and RENAME_EXCHANGE or RENAME_WHITEOUT
# expect: held
open("file", "w").write("egg"); open("other", "w").write("other")
open(SCRATCH + "/scratch", "w").write("scratch")
no_replace, exchange, whiteout = 1, 2, 4
for target in (b"other", (SCRATCH + "/scratch").encode()):
    for flags in (exchange, whiteout, whiteout | no_replace):
        attempt(f"{target} {flags}", lambda: syscall("renameat2", -100, b"file", -100, target, flags))
        attempt(f"from {target} {flags}", lambda: syscall("renameat2", -100, target, -100, b"file", flags) if flags != 5 else checked(-1))
attempt("out", lambda: syscall("renameat2", -100, b"file", -100, (SCRATCH + "/new").encode(), no_replace))
if (open("file").read(), open("other").read()) != ("egg", "other"):
    successes.append("they were swapped")
verdict()
