# tries: to type into a terminal, or to take one
# expect: held
import fcntl
for request in (0x5412, 0x541C, 0x541D, 0x5423, 0x540E):  # TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD, TIOCSCTTY
    for at in (0, 1, 2):
        attempt(f"{request:x} on {at}", lambda: fcntl.ioctl(at, request, b"\1egg"))
attempt("tty", lambda: os.open("/dev/tty", os.O_RDWR))
verdict()
