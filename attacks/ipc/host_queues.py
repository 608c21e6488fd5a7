# tries: to use System V semaphores and message queues of the host
# expect: held
key = int("@IPC_KEY@")
attempt("semaphore", lambda: checked(libc.semget(key, 0, 0)))
attempt("queue", lambda: checked(libc.msgget(key, 0)))
for number in range(0, 4):
    # Ids of its own namespace start at 0 too, but in it nobody has made any.
    attempt(f"post {number}", lambda: checked(libc.semop(number, struct.pack("Hhh", 0, 1, 0), 1)))
    attempt(f"send {number}", lambda: checked(libc.msgsnd(number, struct.pack("q4s", 1, b"egg"), 3, 0o4000)))
    attempt(f"remove {number}", lambda: checked(libc.msgctl(number, 0, None)))
verdict()
