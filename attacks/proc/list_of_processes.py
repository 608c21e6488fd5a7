# tries: to list the processes there are
# expect: held
try:
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    print("held: itself alone" if pids == [os.getpid()] else f"BREACH: {pids[:20]}")
except OSError as error:
    print("held:", error.strerror)
