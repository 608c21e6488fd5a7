# tries: to interrupt the runner between two executions by handlers that raise
# expect: held
def handle(number, frame):
    raise RuntimeError("from a handler")
for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT):
    signal.signal(number, handle)
signal.setitimer(signal.ITIMER_REAL, 0.3)
# --- session b
time.sleep(1)
# --- session a again
print("held: answered all the same")
