# tries: to send to a UDP socket on the host's loopback, which `check` sees arrive
# expect: held
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(b"egg", ("127.0.0.1", int("@UDP_PORT@")))
            time.sleep(0.05)
    print("held: nobody is there on the session's own loopback")
except OSError as error:
    print("held:", error.strerror)
