# tries: to use requests that the plain devices it has should not take
# expect: held
import fcntl
for name in ("null", "zero", "full", "random", "urandom"):
    at = os.open("/dev/" + name, os.O_RDONLY)
    # FS_IOC_SETFLAGS, RNDADDTOENTCNT, RNDCLEARPOOL, RNDRESEEDCRNG, BLKFLSBUF, FIFREEZE
    for request in (0x40086602, 0x40045201, 0x5206, 0x5207, 0x1261, 0xC0045877):
        attempt(f"{name} {request:x}", lambda: fcntl.ioctl(at, request, b"\0" * 64))
verdict()
