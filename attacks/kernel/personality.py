# tries: to switch address randomisation off for programs that it starts
# expect: held
for flags in (0x0040000, 0x0100000, 0x0400000, 0x0008, 0x8000000):
    attempt(f"{flags:x}", lambda: syscall("personality", flags))
    attempt(f"wide {flags:x}", lambda: syscall("personality", ctypes.c_ulong(flags | 1 << 32)))
verdict()
