# tries: to wake a thread of another session by a futex on a page of a file that both map
# expect: absent: a page of a file that all sessions read is one page, and a futex on it one futex
import mmap
at = os.open(SHARED, os.O_RDONLY)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
page = libc.mmap(None, 4096, 1, 1, at, 0)
futex = 202 if platform.machine() == "x86_64" else 98
word = ctypes.c_uint.from_address(page).value
woken = []
def wait():
    woken.append(libc.syscall(futex, ctypes.c_void_p(page), 0, word, struct.pack("qq", 30, 0), None, 0))
waiter = threading.Thread(target=wait, daemon=True)
waiter.start()
time.sleep(0.2)
# --- session b
at = os.open(SHARED, os.O_RDONLY)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
page = libc.mmap(None, 4096, 1, 1, at, 0)
for _ in range(100):
    count = libc.syscall(202 if platform.machine() == "x86_64" else 98, ctypes.c_void_p(page), 1, 100, None, None, 0)
    if count:
        break
    time.sleep(0.02)
print(f"BREACH: {count} woken" if count > 0 else f"held: {count} woken")
