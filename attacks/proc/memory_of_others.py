# tries: to read and write the memory of other processes
# expect: held
buffer = ctypes.create_string_buffer(8)
vector = struct.pack("QQ", ctypes.addressof(buffer), 8)
for pid in (int("@SERVER_PID@"), int("@CANARY_PID@"), os.getppid(), os.getpid()):
    for name in ("process_vm_readv", "process_vm_writev"):
        attempt(f"{name} {pid}", lambda: syscall(name, pid, vector, 1, vector, 1, 0))
    attempt(f"mem {pid}", lambda: open(f"/proc/{pid}/mem", "r+b"))
    attempt(f"kcmp {pid}", lambda: syscall("kcmp", os.getpid(), pid, 0, 0, 0))
    attempt(f"move_pages {pid}", lambda: syscall("move_pages", pid, 0, None, None, None, 0))
verdict()
