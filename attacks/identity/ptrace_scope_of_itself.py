# tries: to be opened to others of its uid: dumpable, core files
# expect: held
import resource
attempt("dumpable", lambda: syscall("prctl", 4, 1, 0, 0, 0))
attempt("ptracer", lambda: syscall("prctl", 0x59616D61, -1, 0, 0, 0))
child = os.fork()
if not child:
    os.chdir(SCRATCH)
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(1)
    os._exit(0)
_, status = os.waitpid(child, 0)
if os.WCOREDUMP(status) or resource.getrlimit(resource.RLIMIT_CORE) != (0, 0) or [name for name in os.listdir(SCRATCH) if "core" in name]:
    successes.append("a core file")
verdict()
