# tries: to delete by machine code of its own in executable memory
# expect: held
import mmap
open("file", "w").write("egg")
path = ctypes.create_string_buffer((WORKSPACE + "/file").encode())
result = None
if platform.machine() == "x86_64":
    code = b"\x48\xbf" + struct.pack("<Q", ctypes.addressof(path)) + b"\xb8\x57\0\0\0\x0f\x05\xc3"  # unlink(path)
    memory = mmap.mmap(-1, 4096, prot=7)
    memory.write(code)
    result = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
print(f"held: the kernel answered {result}" if os.path.exists("file") else "BREACH: it is gone")
