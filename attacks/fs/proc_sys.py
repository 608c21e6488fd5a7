# tries: to change settings of the kernel: core patterns, host name, namespaces, modules
# expect: held
for name in ("kernel/core_pattern", "kernel/hostname", "kernel/modprobe", "kernel/hotplug", "kernel/sysrq", "vm/drop_caches",
             "user/max_user_namespaces", "net/ipv4/ip_forward", "kernel/ns_last_pid", "fs/binfmt_misc/register", "kernel/shmmax",
             "vm/overcommit_memory", "kernel/randomize_va_space", "fs/mqueue/msg_max"):
    attempt(name, lambda: os.open("/proc/sys/" + name, os.O_WRONLY))
attempt("sysrq-trigger", lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY))
verdict()
