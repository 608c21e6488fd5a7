"""The floor of a round trip: runs code that comes as messages on the socket that is its stdin, answers what it printed.

A yardstick of `bench/load`, which starts it; ends with its socket. No JSON, no isolation, no limits.
"""

import contextlib
import io
import socket

CODE_BYTES_MAX = 65536

peer = socket.socket(fileno=0)
variables = {}
while code := peer.recv(CODE_BYTES_MAX):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "<code>", "exec"), variables)
    peer.send(output.getvalue().encode())
