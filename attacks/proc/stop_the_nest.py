# tries: to stop or trace the process that all sessions are forked from
# expect: held
parent = os.getppid()
for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGCHLD, signal.SIGURG):
    attempt(f"{number} to {parent}", lambda: os.kill(parent or 999999, number))
attempt("group", lambda: os.killpg(os.getpgid(parent) if parent else 999999, signal.SIGURG))
verdict()
