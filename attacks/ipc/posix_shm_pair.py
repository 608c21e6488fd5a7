# tries: to share POSIX shared memory with another session
# expect: held
from multiprocessing import shared_memory
try:
    shared = shared_memory.SharedMemory("@MARKER@", create=True, size=100)
except OSError:
    shared = None
# --- session b
from multiprocessing import shared_memory
attempt("open", lambda: shared_memory.SharedMemory("@MARKER@"))
attempt("file", lambda: open("/dev/shm/@MARKER@"))
verdict()
# --- session a again
if shared:
    shared.close(); shared.unlink()
print("held: nothing was shared")
