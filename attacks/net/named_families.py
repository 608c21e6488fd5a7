# tries: netlink, packet, VSOCK, AF_ALG, Bluetooth, CAN, XDP, and socketpairs of them
# expect: held
for name, family in dict(netlink=16, packet=17, key=15, rds=21, can=29, tipc=30, bluetooth=31, alg=38, nfc=39, vsock=40, qipcrtr=42, smc=43, xdp=44).items():
    for kind in (1, 2, 3):
        attempt(name, lambda: syscall("socket", family, kind, 0))
        attempt(name + " pair", lambda: syscall(53 if platform.machine() == "x86_64" else 199, family, kind, 0, (ctypes.c_int * 2)()))
verdict()
