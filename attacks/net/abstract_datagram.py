# tries: to send to an abstract datagram socket of the host, by every call that takes an address
# expect: held
address = "\0@ABSTRACT_DGRAM@"
def sender():
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]
attempt("sendto", lambda: sender().sendto(b"egg", address))
attempt("sendmsg", lambda: sender().sendmsg([b"egg"], [], 0, address))
attempt("connect", lambda: sender().connect(address))
verdict()
