# tries: to pass a message to another session by System V and POSIX queues and semaphores
# expect: held
key = int("@MARKER@"[:7], 16) | 1
for call in (lambda: libc.msgget(key, 0o1666), lambda: libc.semget(key, 1, 0o1666), lambda: syscall("mq_open", b"@MARKER@", os.O_RDWR | os.O_CREAT, 0o666, None)):
    try:
        call()
    except OSError:
        pass
# --- session b
key = int("@MARKER@"[:7], 16) | 1
attempt("msgget", lambda: checked(libc.msgget(key, 0)))
attempt("semget", lambda: checked(libc.semget(key, 0, 0)))
attempt("mq_open", lambda: syscall("mq_open", b"@MARKER@", os.O_RDONLY, 0, None))
verdict()
