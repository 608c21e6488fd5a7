# tries: to connect to a Unix socket in the host's file system that all may write to, as a container engine's may be
# expect: held
REFUSED = ("ENOENT", "EACCES", "EPERM", "EISCONN", "EAFNOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP") + (("EPROTOTYPE",) if REDUCED else ())
def client(kind):
    # EPROTOTYPE says no more than that there is a socket of another kind, which its status says too.
    try:
        return socket.socket(socket.AF_UNIX, kind)
    except OSError:
        return socket.socketpair(socket.AF_UNIX, kind)[0]
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    attempt(f"connect {kind}", lambda: client(kind).connect("@UNIX_SOCKET@"), REFUSED)
attempt("sendto", lambda: client(socket.SOCK_DGRAM).sendto(b"egg", "@UNIX_SOCKET@"), REFUSED)
verdict()
