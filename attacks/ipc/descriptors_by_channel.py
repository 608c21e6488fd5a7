# tries: to pass a descriptor to the server by its channel, and have it kept open there or hold the closer up
# expect: held
import array
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
# The server's end of this takes nothing, whoever sends it.
own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=REQUESTS)
attempt("send over the socket", lambda: own.sendmsg([b"x"], rights), ["EPIPE"])
own.detach()
attempt("send over the pipe", lambda: socket.socket(fileno=CHANNEL).sendmsg([b"x"], rights), ["ENOTSOCK"])
verdict()
