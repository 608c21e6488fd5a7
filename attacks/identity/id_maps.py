# tries: to map ids of the host into its user namespace
# expect: held
for name in ("uid_map", "gid_map", "setgroups", "projid_map"):
    for pid in ("self", "1"):
        attempt(f"{pid}/{name}", lambda: os.write(os.open(f"/proc/{pid}/{name}", os.O_WRONLY), b"0 0 1"))
for name in ("loginuid", "attr/exec", "attr/current", "oom_score_adj", "coredump_filter", "clear_refs", "make-it-fail", "sched", "autogroup", "timerslack_ns", "comm"):
    attempt(name, lambda: os.open("/proc/self/" + name, os.O_WRONLY))
verdict()
