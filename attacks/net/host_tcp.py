# tries: to reach a listener on the host's loopback
# expect: held
for host in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "localhost"):
    attempt(host, lambda: socket.create_connection((host, int("@TCP_PORT@")), 2))
verdict()
