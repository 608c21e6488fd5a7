# tries: to widen its rights with a ruleset of its own that allows everything
# expect: held
open("file", "w").write("egg")
ruleset = syscall("landlock_create_ruleset", struct.pack("<QQQ", 0x3F, 0, 0), 8, 0)
root = os.open("/", os.O_PATH)
rule = struct.pack("<Qi", 0x3F, root)
libc.syscall(445, ruleset, 1, rule, 0)
restricted = libc.syscall(446, ruleset, 0)
attempt("unlink", lambda: checked(libc.unlink(b"file")))
attempt("host", lambda: open("@OPEN_FILE@").read())
if not os.path.exists("file"):
    successes.append("it is gone")
verdict()
