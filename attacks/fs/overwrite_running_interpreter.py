# tries: to write into its interpreter's pages on disk through a shared mapping or /proc/self/mem
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
import mmap
at = os.open(os.path.realpath(sys.executable), os.O_RDONLY)
attempt("shared mapping", lambda: mmap.mmap(at, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
mapped = mmap.mmap(at, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
attempt("/proc/self/mem", lambda: os.open("/proc/self/mem", os.O_RDWR))
start = int(next(line for line in open("/proc/self/maps") if os.path.realpath(sys.executable) in line).split("-")[0], 16)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
shared = next((line for line in open("/proc/self/maps") if " r--s" in line and os.path.realpath(sys.executable) in line))
attempt("mprotect", lambda: checked(libc.mprotect(int(shared.split("-")[0], 16), 4096, 3)))
verdict()
