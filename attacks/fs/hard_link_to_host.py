# tries: to take a file of the host, or a setuid program, into its own folder by a hard link
# expect: held
for path in ("@WRITABLE_FILE@", "@OPEN_FILE@", "@CLOSED_FILE@", "/usr/bin/passwd", "/usr/bin/env"):
    for folder in (WORKSPACE, SCRATCH):
        attempt(path, lambda: os.link(path, f"{folder}/hard"))
        attempt(path, lambda: os.link(path, f"{folder}/hard", follow_symlinks=False))
verdict()
