# tries: to set limits on other processes, which ends them as surely as a signal
# expect: held
import resource
for pid in {int("@SERVER_PID@"), int("@CANARY_PID@"), os.getppid() or 2}:
    attempt(f"read {pid}", lambda: resource.prlimit(pid, resource.RLIMIT_CORE))
    # The limit of core dumps, where it matters to nobody.
    attempt(f"set {pid}", lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)))
verdict()
