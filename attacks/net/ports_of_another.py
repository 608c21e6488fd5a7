# tries: to reach what another session listens on
# expect: held
if not REDUCED:
    listeners = [socket.create_server(("127.0.0.1", 23456)), socket.create_server(("::1", 23456), family=socket.AF_INET6)]
    for listener in listeners: listener.setblocking(False)
# --- session b
attempt("IPv4", lambda: socket.create_connection(("127.0.0.1", 23456), 2))
attempt("IPv6", lambda: socket.create_connection(("::1", 23456), 2))
if not REDUCED:
    mine = socket.create_server(("127.0.0.1", 23456))  # the port is free here
verdict()
# --- session a again
reached = []
for listener in globals().get("listeners", ()):
    try:
        reached.append(listener.accept())
    except BlockingIOError:
        pass
print(f"BREACH: {reached}" if reached else "held: nobody came")
