# tries: to reach the server's own folder: its lock, and the folders of other sessions
# expect: held
for path in ("@STATE_DIR@", "@STATE_DIR@/sessions", "@STATE_DIR@/.."):
    attempt("list " + path, lambda: os.listdir(path), ("ENOENT", "EACCES"))
for path in ("@STATE_DIR@/server.lock", "@STATE_DIR@/../log", "@STATE_DIR@/runtime/plan"):
    attempt("read " + path, lambda: open(path).read())
    attempt("write " + path, lambda: open(path, "a"))
for slot in range(6):
    own = f"@STATE_DIR@/sessions/{slot}/workspace"
    if own != WORKSPACE:
        attempt("list " + own, lambda: os.listdir(own), ("ENOENT", "EACCES"))
        attempt("make in " + own, lambda: open(own + "/egg", "w"))
verdict()
