# tries: to make calls of the x32 ABI, which a filter of numbers alone would not know
# expect: held
if platform.machine() != "x86_64":
    print("held: there is no such ABI on this machine")
else:
    for number in (39, 165, 272, 101, 250, 321, 425, 512, 513, 521, 534, 545, 547):
        attempt(f"{number}", lambda: syscall(0x40000000 | number, 0, 0, 0, 0), ("ENOSYS", "EPERM"))
    for number in (39, 165, 272):
        attempt(f"negative {number}", lambda: syscall(ctypes.c_long(number - (1 << 31)).value, 0, 0), ("ENOSYS", "EPERM"))
    verdict()
