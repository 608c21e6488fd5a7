# tries: to make calls of the i386 ABI, whose numbers mean something else
# expect: held
import mmap
if platform.machine() != "x86_64":
    print("held: there is no such ABI on this machine")
else:
    for name, number in dict(getpid=20, mount=21, ptrace=26, unshare=310, keyctl=288, socketcall=102).items():
        memory = mmap.mmap(-1, 4096, prot=7)
        memory.write(b"\x53\x31\xdb\x31\xc9\x31\xd2\xb8" + struct.pack("<I", number) + b"\xcd\x80\x5b\x48\x98\xc3")  # int 0x80
        result = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
        attempt(f"{name} {result}", lambda: result if result >= 0 else checked(-1))
        if result not in (-errno.EPERM, -errno.ENOSYS):
            successes.append(f"{name}: {result}")
    verdict()
