# tries: to fill the memory behind its scratch folder
# expect: held
# expect reduced: absent: the folders are the host's, and what a session puts there is not limited (SECURITY.md says so)
# expect reduced-user: absent: the folders are the host's, and what a session puts there is not limited (SECURITY.md says so)
written = 0
try:
    for number in range(24):
        with open(f"{SCRATCH}/{number}", "wb") as out:
            for _ in range(4):
                written += out.write(bytes(1 << 20))
    print(f"BREACH: {written >> 20} MiB and no end")
except OSError as error:
    print(f"held: {error.strerror} after {written >> 20} MiB")
for number in range(24):
    if os.path.exists(f"{SCRATCH}/{number}"):
        os.unlink(f"{SCRATCH}/{number}")
