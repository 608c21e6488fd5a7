# tries: to have a program of its own run in the kernel on a socket, or a protocol of the kernel's on top of TCP
# expect: held
try:
    end = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
except OSError:
    if not REDUCED:
        raise
    end, _ = socket.socketpair()
end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
instruction = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xFFFF), 8)  # return 0xffff
program = struct.pack("HP", 1, ctypes.addressof(instruction))
nothing = struct.pack("i", -1)
# Refused by the filter it is EPERM; let through, the kernel attaches it or finds fault with the argument.
for name, level, option, value in (
    ("SO_ATTACH_FILTER", 1, 26, program), ("SO_ATTACH_BPF", 1, 50, nothing), ("SO_ATTACH_REUSEPORT_CBPF", 1, 51, nothing),
    ("SO_ATTACH_REUSEPORT_EBPF", 1, 52, nothing), ("TCP_ULP", 6, 31, b"tls"),
):
    attempt(name, lambda: end.setsockopt(level, option, value), ("EPERM",))
verdict()
