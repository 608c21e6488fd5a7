# tries: to open itself to others, to move its memory map, to filter, to gain capabilities, by prctl
# expect: held
options = dict(dumpable=(4, 1), seccomp=(22, 2), mm=(35, 1), ptracer=(0x59616D61, -1), ambient=(47, 2, 21), speculation=(53, 0, 0),
               securebits=(28, 0), keepcaps=(8, 1), timing=(14, 0), tsc=(26, 2), unalign=(6, 0), syscall_dispatch=(59, 0),
               tagged=(55, 1), io_flusher=(57, 1), sched_core=(62, 1), mce=(33, 1), mdwe=(65, 0), bounding=(24, 21))
for name, arguments in options.items():
    attempt(name, lambda: syscall("prctl", *arguments, *[0] * (5 - len(arguments))), ("EINVAL", "EPERM"))
    wide = [ctypes.c_ulong(arguments[0] | 1 << 32), *arguments[1:]]
    attempt("wide " + name, lambda: syscall("prctl", *wide, *[0] * (5 - len(arguments))), ("EINVAL", "EPERM"))
verdict()
