# tries: to learn the server's ids by its channel, and to claim others
# expect: held
channel = socket.socket(fileno=CHANNEL)
pid, uid, gid = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, 17, 12))
attempt("claim root", lambda: channel.sendmsg([b""], [(socket.SOL_SOCKET, 2, struct.pack("3i", 1, 0, 0))]))
channel.detach()
if not REDUCED and pid > 1:
    successes.append(f"the server's pid {pid}")
verdict()
