# tries: to load programs into the kernel and to count its events
# expect: held
for command in range(0, 38):
    attempt(f"bpf {command}", lambda: syscall("bpf", command, b"\0" * 128, 128), ("EPERM",))
for kind in (0, 1, 2, 5):
    attempt(f"perf {kind}", lambda: syscall("perf_event_open", struct.pack("II", kind, 112) + b"\0" * 104, 0, -1, -1, 0), ("EPERM",))
verdict()
