# tries: to interrupt the runner between two executions by handlers that raise
# expect: held
def handle(number, frame):
    raise RuntimeError("from a handler")
for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT):
    signal.signal(number, handle)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.01)
try:
    time.sleep(0.2)
except RuntimeError:
    pass
# --- session a again
for _ in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        break
    except RuntimeError:
        pass
print("held: answered all the same")
