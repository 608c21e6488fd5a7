# tries: to read the kernel's memory, log and symbols through /proc
# expect: held
for name in ("kcore", "kmsg", "kpagecount", "kpageflags", "vmcore", "slabinfo", "vmallocinfo", "timer_list", "sched_debug"):
    attempt(name, lambda: os.read(os.open("/proc/" + name, os.O_RDONLY | os.O_NONBLOCK), 16) or checked(-1))
try:
    symbols = open("/proc/kallsyms").read(4096).splitlines()
    successes += [line for line in symbols if int(line.split()[0], 16)][:1]
except OSError as error:
    refusals.append(f"kallsyms: {error.strerror}")
verdict()
