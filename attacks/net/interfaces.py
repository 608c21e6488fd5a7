# tries: to find an interface or a route that leads anywhere
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
names = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").read().splitlines()[2:]]
routes = open("/proc/self/net/route").read().splitlines()[1:]
routes6 = [line for line in open("/proc/self/net/ipv6_route").read().splitlines() if line.split()[-1] != "lo"]
print("held: lo alone, and no route" if (names, routes, routes6) == (["lo"], [], []) else f"BREACH: {names} {routes}")
