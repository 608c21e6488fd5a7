# tries: to have a forked child take the session's next request
# expect: held
if os.fork() == 0:
    pid = os.getpid()
# --- session a again
print("held: the session's own process answers" if "pid" not in globals() else "BREACH: a child answers")
