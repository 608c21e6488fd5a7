# tries: to write to a file of the host that all may write to
# expect: held
for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC):
    attempt(f"open {flags:o}", lambda: os.write(os.open("@WRITABLE_FILE@", flags), b"egg"))
attempt("truncate", lambda: os.truncate("@WRITABLE_FILE@", 0))
verdict()
