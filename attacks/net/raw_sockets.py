# tries: to get raw and packet sockets
# expect: held
for family in (socket.AF_INET, socket.AF_INET6, 17):
    for kind in (socket.SOCK_RAW, 10):
        for protocol in (0, 1, 6, 58, 255, socket.htons(3)):
            attempt(f"{family}/{kind}/{protocol}", lambda: socket.socket(family, kind, protocol))
attempt("ping socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1))
verdict()
