# tries: to see the mounts of the host or of another session
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
mounts = open("/proc/self/mountinfo").read()
for word in ("cgroup", "sysfs", "/boot", "devpts", "overlay", "debugfs"):
    for line in mounts.splitlines():
        if f" - {word}" in line or line.split()[4] == word:
            successes.append(line)
for line in mounts.splitlines():
    point, options, kind = line.split()[4], line.split()[5].split(","), line.split(" - ")[1].split()[0]
    writable = "rw" in options and point not in ("/proc", "/workspace", "/tmp", "/dev/shm") and not point.startswith("/dev/")
    if writable or "nosuid" not in options:
        successes.append(line)
refusals.append("own mounts alone, nosuid, read-only but for the private ones")
verdict()
