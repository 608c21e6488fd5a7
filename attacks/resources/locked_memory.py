# tries: to lock memory that the host could otherwise swap out
# expect: held
import mmap
memory = mmap.mmap(-1, 16 << 20)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
attempt("mlock", lambda: checked(libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(16 << 20))))
attempt("mlockall", lambda: checked(libc.mlockall(3)))
verdict()
