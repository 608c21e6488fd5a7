# tries: to get a refused family by values whose upper halves the kernel drops
# expect: held
for high in (1 << 32, 1 << 63, 0xFFFFFFFF << 32):
    attempt("netlink", lambda: syscall("socket", ctypes.c_ulong(high | 16), 3, 0))
    attempt("raw", lambda: syscall("socket", 2, ctypes.c_ulong(high | 3), 1))
    attempt("flags", lambda: syscall("socket", 16 | high & 0x7FFFFFFF00000000, 3 | 0o2000000, 0))
attempt("SOCK_CLOEXEC and raw", lambda: syscall("socket", 2, 3 | 0o2000000 | 0o4000, 0))
verdict()
