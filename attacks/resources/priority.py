# tries: to get more than its share of the processors
# expect: held
attempt("nice", lambda: os.nice(-1))
attempt("FIFO", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
attempt("RR", lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)))
attempt("deadline", lambda: syscall(314 if platform.machine() == "x86_64" else 274, 0, struct.pack("IIQiIQQQ", 48, 6, 0, 0, 0, 10 ** 7, 10 ** 8, 10 ** 8), 0))
attempt("disk", lambda: syscall("ioprio_set", 1, 0, 1 << 13))
attempt("oom", lambda: open("/proc/self/oom_score_adj", "w").write("-1000"))
verdict()
