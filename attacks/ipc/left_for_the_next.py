# tries: to leave System V and POSIX objects, abstract names and locks to the next user of the slot
# expect: held
key = int("@MARKER@"[:7], 16) | 1
for call in (lambda: libc.shmget(key, 4096, 0o1666), lambda: libc.msgget(key, 0o1666), lambda: libc.semget(key, 1, 0o1666),
             lambda: syscall("mq_open", b"@MARKER@", os.O_RDWR | os.O_CREAT, 0o666, None),
             lambda: open("/dev/shm/@MARKER@", "w"), lambda: syscall("add_key", b"user", b"@MARKER@", b"egg", 3, -4)):
    try:
        call()
    except OSError:
        pass
# --- next user of the slot
key = int("@MARKER@"[:7], 16) | 1
for name, call in dict(shm=lambda: checked(libc.shmget(key, 0, 0)), queue=lambda: checked(libc.msgget(key, 0)), semaphore=lambda: checked(libc.semget(key, 0, 0)),
                       mq=lambda: syscall("mq_open", b"@MARKER@", os.O_RDONLY, 0, None), file=lambda: open("/dev/shm/@MARKER@"),
                       key=lambda: syscall("request_key", b"user", b"@MARKER@", None, 0)).items():
    attempt(name, call)
verdict()
