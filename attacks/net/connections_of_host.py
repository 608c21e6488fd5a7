# tries: to see the host's listeners and the names of its Unix sockets in /proc
# expect: held
for name in ("tcp", "tcp6", "udp", "unix", "netlink", "arp", "packet"):
    try:
        text = open(f"/proc/self/net/{name}").read()
        for line in text.splitlines()[1:]:
            if name in ("tcp", "tcp6", "udp", "unix") and (f":{int('@TCP_PORT@'):04X} " in line or f":{int('@TCP6_PORT@'):04X} " in line or "@ABSTRACT@" in line):
                successes.append(f"{name}: {line.strip()[:80]}")
        refusals.append(f"{name}: nothing of the host's")
    except OSError as error:
        refusals.append(f"{name}: {error.strerror}")
verdict()
