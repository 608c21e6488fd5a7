# tries: to pass a descriptor to the server by its channel, and have it kept open there or hold the closer up
# expect: held
import array
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
for number in (REQUESTS, CHANNEL):
    attempt(f"send over {number}", lambda: socket.socket(fileno=number).sendmsg([b"x"], rights), ["ENOTSOCK"])
verdict()
