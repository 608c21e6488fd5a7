# tries: to leave trees, names and modes behind that stall or divert whoever clears up after it
# expect: held
# expect reduced: refused: chmod
# expect reduced-user: refused: chmod
os.chdir(SCRATCH)
os.umask(0)
for name in (b"line\nbreak", b"-rf", b"\xff\xfe", b"*", b" ", "ü🥚".encode(), b"x" * 255, b"$(reboot)", b"..."):
    os.mkdir(name)
    os.mkfifo(name + b"/fifo" if len(name) < 200 else b"fifo")
    os.symlink("/", name + b"/root") if len(name) < 200 else None
for _ in range(300):
    os.mkdir("deep")
    os.chdir("deep")
os.chdir(SCRATCH)
for mode in (0o000, 0o111, 0o500):
    os.makedirs(f"{mode:o}/inner")
    open(f"{mode:o}/inner/@MARKER@", "w").close()
    os.chmod(f"{mode:o}/inner", mode)
    os.chmod(f"{mode:o}", mode)
for number in range(3000):
    open(f"many-{number}", "w").close()
os.symlink("@DROP_FOLDER@", "drop")
# --- next user of the slot
left = os.listdir(SCRATCH) + os.listdir(WORKSPACE) + ([] if REDUCED else os.listdir("/dev/shm"))
print(f"BREACH: {left[:5]}" if left else "held: every folder is empty")
