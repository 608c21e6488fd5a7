# tries: to reach /sys: control groups, firmware, kernel memory layout
# expect: held
for path in ("/sys", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/firmware", "/sys/kernel/security", "/sys/class/net"):
    attempt("list " + path, lambda: os.listdir(path), ("ENOENT", "EACCES"))
for name in ("cgroup.procs", "memory/release_agent", "release_agent", "memory/tasks"):
    attempt("write " + name, lambda: os.open("/sys/fs/cgroup/" + name, os.O_WRONLY))
verdict()
