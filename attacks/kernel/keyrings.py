# tries: to use keyrings, which no namespace covers
# expect: held
for keyring in (-1, -2, -3, -4, -5):
    attempt(f"add to {keyring}", lambda: syscall("add_key", b"user", b"@MARKER@", b"egg", 3, keyring), ("EPERM",))
    attempt(f"id of {keyring}", lambda: syscall("keyctl", 0, keyring, 1), ("EPERM",))
attempt("request", lambda: syscall("request_key", b"user", b"@MARKER@", b"egg", -3), ("EPERM",))
for command in range(0, 33):
    attempt(f"keyctl {command}", lambda: syscall("keyctl", command, -3, 0, 0, 0), ("EPERM",))
verdict()
