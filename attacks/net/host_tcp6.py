# tries: to reach a listener on the host's IPv6 loopback, and the IPv4 one by a mapped address
# expect: held
for host, port in (("::1", "@TCP6_PORT@"), ("::", "@TCP6_PORT@"), ("::ffff:127.0.0.1", "@TCP_PORT@")):
    attempt(host, lambda: socket.create_connection((host, int(port)), 2))
verdict()
