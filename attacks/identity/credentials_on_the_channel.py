# tries: to learn the server's ids by its channel, as a socket would tell them, or get a handle on its process
# expect: held
own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=REQUESTS)
for name, option in (("peercred", 17), ("peersec", 31), ("peergroups", 59), ("peerpidfd", 77)):
    attempt(name, lambda: own.getsockopt(socket.SOL_SOCKET, option, 256), ["EACCES", "EPERM"])
for name, option in (("passcred", 16), ("passsec", 34), ("passpidfd", 76)):
    attempt(name, lambda: own.setsockopt(socket.SOL_SOCKET, option, 1), ["EACCES", "EPERM"])
own.detach()
attempt("peer of the pipe", lambda: socket.socket(fileno=CHANNEL).getsockopt(socket.SOL_SOCKET, 17, 12), ["ENOTSOCK"])
verdict()
