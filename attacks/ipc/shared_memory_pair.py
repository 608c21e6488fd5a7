# tries: to share System V memory with another session
# expect: held
key = int("@MARKER@"[:7], 16) | 1
try:
    memory = checked(libc.shmget(key, 4096, 0o1666))
except OSError:
    pass
# --- session b
key = int("@MARKER@"[:7], 16) | 1
attempt("shmget", lambda: checked(libc.shmget(key, 0, 0)))
attempt("semget", lambda: checked(libc.semget(key, 0, 0)))
attempt("msgget", lambda: checked(libc.msgget(key, 0)))
verdict()
