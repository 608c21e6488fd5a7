# tries: to gain a capability in any set
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
header = struct.pack("Ii", 0x20080522, 0)
for bits in (1, 1 << 21, 0xFFFFFFFF):
    attempt(f"capset {bits:x}", lambda: checked(libc.capset(header, struct.pack("6I", bits, bits, bits, 0, 0, 0))))
for number in range(0, 41):
    attempt(f"ambient {number}", lambda: syscall("prctl", 47, 2, number, 0, 0))
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
successes += [name for name in ("CapEff", "CapPrm", "CapInh", "CapAmb") if int(fields[name], 16)]
verdict()
