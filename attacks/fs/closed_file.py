# tries: to read a file of the host that belongs to the server's own user
# expect: held
attempt("open", lambda: open("@CLOSED_FILE@").read())
attempt("O_PATH and /proc", lambda: open(f"/proc/self/fd/{os.open('@CLOSED_FILE@', os.O_PATH)}").read())
attempt("write", lambda: os.open("@CLOSED_FILE@", os.O_WRONLY))
if subprocess.run(["cat", "@CLOSED_FILE@"], capture_output=True).stdout:
    successes.append("cat has read it")
verdict()
