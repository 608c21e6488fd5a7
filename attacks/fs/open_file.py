# tries: to read a file of the host that is readable to all
# expect: held
attempt("open", lambda: open("@OPEN_FILE@").read())
attempt("O_PATH and /proc", lambda: open(f"/proc/self/fd/{os.open('@OPEN_FILE@', os.O_PATH)}").read())
attempt("chdir", lambda: (os.chdir(os.path.dirname("@OPEN_FILE@")), open("open").read()))
os.chdir(WORKSPACE)
verdict()
