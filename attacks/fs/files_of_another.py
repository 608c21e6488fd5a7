# tries: to find a file of another session
# expect: held
# expect reduced: refused: chmod
# expect reduced-user: refused: chmod
for folder in {WORKSPACE, SCRATCH, "/tmp", "/dev/shm"}:
    try:
        with open(f"{folder}/@MARKER@", "w") as out:
            out.write("@MARKER@")
        os.chmod(f"{folder}/@MARKER@", 0o666)
    except PermissionError:
        pass
for folder in (WORKSPACE, SCRATCH):
    os.chmod(folder, 0o777)
# --- session b
found = []
for top in ("/tmp", "/dev/shm", "/workspace", "/var/tmp", "/run", "@STATE_DIR@/sessions", WORKSPACE, SCRATCH):
    for folder, _, names in os.walk(top):
        found += [f"{folder}/{name}" for name in names if "@MARKER@" in name]
for slot in range(8):
    for name in ("workspace", "tmp"):
        try:
            found.append(open(f"@STATE_DIR@/sessions/{slot}/{name}/@MARKER@").read())
        except OSError:
            pass
print(f"BREACH: {found}" if found else "held: there is nothing of the other's in sight")
