# tries: to trace the server, a process of the host, and its own child
# expect: held
child = os.fork()
if not child:
    time.sleep(5)
    os._exit(0)
attach, seize, traceme = 16, 0x4206, 0
for pid in (int("@SERVER_PID@"), int("@CANARY_PID@"), os.getppid(), child):
    attempt(f"attach {pid}", lambda: syscall("ptrace", attach, pid, 0, 0))
    attempt(f"seize {pid}", lambda: syscall("ptrace", seize, pid, 0, 0))
attempt("traceme", lambda: syscall("ptrace", traceme, 0, 0, 0))
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
verdict()
