# tries: to learn from what lies in memory of the host's files what others have read
# expect: held
import mmap
path = "/usr/bin/env"
at = os.open(path, os.O_RDONLY)
memory = mmap.mmap(at, 0, mmap.MAP_SHARED, mmap.PROT_READ)
size = len(memory)
answers = []
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
address = libc.mmap(None, size, 1, 1, at, 0)
vector = (ctypes.c_ubyte * (size // 4096 + 1))()
libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), vector)
# To those who may not write a file the kernel calls each page present.
answers.append(("mincore", all(vector[:size // 4096])))
statistics = (ctypes.c_uint64 * 5)()
result = libc.syscall(451, at, (ctypes.c_uint64 * 2)(0, 0), statistics, 0)
answers.append(("cachestat", result == -1))
told = [name for name, silent in answers if not silent]
print(f"BREACH: {told} answers" if told else "held: neither mincore nor cachestat tells")
