# tries: to write where every user of a host may
# expect: held
for folder in ("/var/tmp", "/run/lock", "/var/lock", "/run/user", "/dev/mqueue", "/run", "/var/crash"):
    attempt(folder, lambda: open(folder + "/eggbox-@MARKER@", "w"))
if REDUCED:
    for folder in ("/tmp", "/dev/shm"):
        attempt(folder, lambda: open(folder + "/eggbox-@MARKER@", "w"))
verdict()
