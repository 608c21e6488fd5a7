# tries: to have a name resolved, and thereby a packet sent to a resolver
# expect: held
if not REDUCED:
    names = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").read().splitlines()[2:]]
    assert names == ["lo"], "this session has a network"
    assert not open("/etc/resolv.conf").read().strip(), "it has resolvers"
    attempt("getaddrinfo", lambda: socket.getaddrinfo("@MARKER@.invalid", 80))
else:
    # The host's resolvers are out of reach before they are asked: no socket, and no file that names them.
    attempt("socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    attempt("resolv.conf", lambda: open("/etc/resolv.conf").read())
verdict()
