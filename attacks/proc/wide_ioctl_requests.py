# tries: to pass a refused request whose upper half the kernel drops, which a filter of 64 bits would let through
# expect: held
reader, writer = os.pipe()
for request in (0x5412, 0x541C, 0x541D, 0x5423):
    for high in (0, 1 << 32, 0xFFFFFFFF << 32, 1 << 63):
        # Refused by the filter it is EPERM; let through, the pipe answers ENOTTY.
        attempt(f"{request | high:x}", lambda: syscall("ioctl", reader, ctypes.c_ulong(request | high), b"\0" * 64), ("EPERM",))
verdict()
