# tries: to reach the server that it runs in, and have it run code as another session
# expect: held
def post():
    with socket.create_connection(("127.0.0.1", int("@SERVER_PORT@")), 2) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return client.recv(100)
attempt("server", post)
verdict()
