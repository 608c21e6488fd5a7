# tries: to connect to the Unix socket of another session by its path
# expect: held
path = SCRATCH + "/socket"
try:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    os.chmod(path, 0o777); os.chmod(SCRATCH, 0o777)
except OSError:
    pass
# --- session b
folders = [f"@STATE_DIR@/sessions/{slot}/tmp" for slot in range(40)] if REDUCED else [SCRATCH]
for folder in folders:
    if folder != SCRATCH or not REDUCED:
        attempt(folder, lambda: socket.socket(socket.AF_UNIX).connect(folder + "/socket"))
verdict()
