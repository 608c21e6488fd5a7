# tries: to fork into namespaces of its own, by clone and by clone3
# expect: held
def clone(flags):
    child = syscall("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return child
for flag in (0x80 << 0, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
    # CLONE_NEWTIME is in the bits of the exit signal for clone, and only clone3 has it.
    attempt(f"clone {flag:x}", lambda: clone(flag) if flag != 0x80 else checked(-1))
    attempt(f"wide {flag:x}", lambda: clone(flag | 1 << 40) if flag != 0x80 else checked(-1))
    def clone3():
        child = syscall("clone3", struct.pack("8Q", flag, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
        if child == 0:
            os._exit(0)
        return child
    attempt(f"clone3 {flag:x}", clone3)
verdict()
