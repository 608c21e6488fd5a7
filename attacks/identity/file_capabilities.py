# tries: to give a program of its own capabilities by its attributes
# expect: held
# expect reduced: refused: chmod, by which shutil.copy makes it a program
# expect reduced-user: refused: chmod, by which shutil.copy makes it a program
program = SCRATCH + "/program"
shutil.copy("/usr/bin/env", program)
attempt("set", lambda: os.setxattr(program, "security.capability", struct.pack("<5I", 0x02000001, 1 << 21, 0, 0, 0)))
attempt("trusted", lambda: os.setxattr(program, "trusted.egg", b"egg"))
verdict()
