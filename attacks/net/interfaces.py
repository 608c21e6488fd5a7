# tries: to find an interface or a route that leads anywhere
# expect: held
# expect reduced: absent: no network namespace, so /proc/self/net is the host's; sockets are refused instead
# expect reduced-user: absent: no network namespace, so /proc/self/net is the host's; sockets are refused instead
names = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").read().splitlines()[2:]]
routes = open("/proc/self/net/route").read().splitlines()[1:]
routes6 = [line for line in open("/proc/self/net/ipv6_route").read().splitlines() if line.split()[-1] != "lo"]
print("held: lo alone, and no route" if (names, routes, routes6) == (["lo"], [], []) else f"BREACH: {names} {routes}")
