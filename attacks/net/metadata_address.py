# tries: to reach a cloud's metadata service: only after proving that no packet can leave; else the host's loopback
# expect: held
if REDUCED:
    target = ("127.0.0.1", int("@TCP_PORT@"))
else:
    names = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").read().splitlines()[2:]]
    assert names == ["lo"] and len(open("/proc/self/net/route").read().splitlines()) == 1, "this session has a network"
    target = ("169.254.169.254", 80)
attempt("TCP", lambda: socket.create_connection(target, 2))
if not REDUCED:
    attempt("UDP", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", target), ("ENETUNREACH",))
verdict()
