# tries: to connect to the abstract socket of another session
# expect: held
def server(kind):
    try:
        listener = socket.socket(socket.AF_UNIX, kind)
    except OSError:
        listener = socket.socketpair(socket.AF_UNIX, kind)[0]
    try:
        listener.bind(f"\0@MARKER@{kind}")
        listener.listen()
    except OSError:
        pass
    listener.setblocking(False)
    return listener
keep = [server(socket.SOCK_STREAM), server(socket.SOCK_SEQPACKET)]
# --- session b
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    def connect():
        socket.socket(socket.AF_UNIX, kind).connect(f"\0@MARKER@{kind}")
    attempt(f"{kind}", connect)
verdict()
