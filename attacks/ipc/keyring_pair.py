# tries: to pass a key to another session of the same user
# expect: held
for keyring in (-3, -4, -5):
    try:
        syscall("add_key", b"user", b"@MARKER@", b"egg", 3, keyring)
    except OSError:
        pass
# --- session b
attempt("search", lambda: syscall("keyctl", 10, -4, b"user", b"@MARKER@", 0))
attempt("request", lambda: syscall("request_key", b"user", b"@MARKER@", None, 0))
verdict()
