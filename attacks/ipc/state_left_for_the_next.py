# tries: to leave limits, masks, handlers, timers, priorities and variables to the next user of the slot
# expect: held
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
os.umask(0o777); os.nice(5); os.environ["EGG"] = "@MARKER@"; sys.egg = "@MARKER@"
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
signal.setitimer(signal.ITIMER_REAL, 1000)
os.sched_setaffinity(0, {0})
# --- next user of the slot
import resource
umask = os.umask(0o022)
seen = [resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 256, umask == 0o777, os.nice(0) == 5, "EGG" in os.environ, hasattr(sys, "egg"),
        signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, set()), signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        os.cpu_count() > 1 and len(os.sched_getaffinity(0)) == 1]
print(f"BREACH: {seen}" if any(seen) else "held: everything is as it is for everybody")
