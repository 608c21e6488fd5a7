# tries: to send to addresses of other machines, broadcast and multicast: only after proving that no packet can leave
# expect: held
if REDUCED:
    attempt("IPv4", lambda: socket.socket(socket.AF_INET))
    attempt("IPv6", lambda: socket.socket(socket.AF_INET6))
else:
    names = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").read().splitlines()[2:]]
    assert names == ["lo"] and len(open("/proc/self/net/route").read().splitlines()) == 1, "this session has a network"
    for family, host in ((2, "192.0.2.1"), (2, "10.0.0.1"), (2, "255.255.255.255"), (2, "224.0.0.1"), (10, "2001:db8::1"), (10, "ff02::1")):
        def send():
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                return sender.sendto(b"egg", (host, 9))
        attempt(host, send)
verdict()
