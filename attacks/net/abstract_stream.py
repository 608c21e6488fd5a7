# tries: to connect to an abstract Unix socket of the host
# expect: held
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    def connect():
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect("\0@ABSTRACT@")
    attempt(f"{kind}", connect)
verdict()
