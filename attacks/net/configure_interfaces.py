# tries: to change addresses, routes and interfaces of its network
# expect: held
import fcntl
try:
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
except OSError as error:
    control = os.open("/dev/null", os.O_RDWR)
for name, request in dict(down=0x8914, address=0x8916, mask=0x891C, mtu=0x8922, name=0x8923, route=0x890B, arp=0x8955, bridge=0x89A0, tunnel=0x89F1).items():
    attempt(name, lambda: fcntl.ioctl(control, request, struct.pack("16sH14s", b"lo", 0, b"") + b"\0" * 64))
for name, level, option in (("bind to device", 1, 25), ("mark", 1, 36), ("transparent", 0, 19), ("iptables", 0, 64), ("ip6tables", 41, 64), ("ebtables", 0, 128)):
    if REDUCED:
        break  # there is no socket to set it on
    attempt(name, lambda: control.setsockopt(level, option, struct.pack("i60x", 1)) if option != 25 else control.setsockopt(level, option, b"eth0\0"))
verdict()
