# tries: to learn the server's ids by its channel, as a socket would tell them
# expect: held
for number in (REQUESTS, CHANNEL):
    attempt(f"peer of {number}", lambda: socket.socket(fileno=number).getsockopt(socket.SOL_SOCKET, 17, 12), ["ENOTSOCK"])
verdict()
