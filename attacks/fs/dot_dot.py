# tries: to climb out of its root by .. from every folder it has open
# expect: held
up = "../" * 40
for folder in ("/", WORKSPACE, SCRATCH, "/usr", "/proc/self"):
    attempt(folder, lambda: open(f"{folder}/{up}@OPEN_FILE@").read())
    base = os.open(folder, os.O_PATH)
    attempt(folder + " at", lambda: os.open(up + "@OPEN_FILE@"[1:], os.O_RDONLY, dir_fd=base))
verdict()
