# tries: to run code when the interpreter ends: atexit, destructors, threads, finalizers
# expect: error: session ended: the interpreter exited with status 3
import atexit, weakref
def last(*_):
    os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 1, 0))
    print("BREACH: code ran at exit", flush=True)
class Thing:
    __del__ = last
atexit.register(last)
sys.kept = Thing()
weakref.finalize(sys, last)
threading._register_atexit(last) if hasattr(threading, "_register_atexit") else None
os._exit(3)
