# tries: to attach System V shared memory of the host, by key and by id
# expect: held
libc.shmat.restype = ctypes.c_void_p
attempt("by key", lambda: checked(libc.shmget(int("@IPC_KEY@"), 0, 0)))
def attach(flags):
    address = libc.shmat(int("@SHM_ID@"), None, flags)
    return checked(-1) if address in (None, ctypes.c_void_p(-1).value) else address
attempt("by id", lambda: attach(0))
attempt("to read", lambda: attach(0o10000))
attempt("to remove", lambda: checked(libc.shmctl(int("@SHM_ID@"), 0, None)))
verdict()
