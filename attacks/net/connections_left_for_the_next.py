# tries: to find a listener, a connection in TIME_WAIT or a counter of the slot's last user
# expect: held
if not REDUCED:
    server = socket.create_server(("127.0.0.1", 34567))
    client = socket.create_connection(("127.0.0.1", 34567))
    other, _ = server.accept()
    other.close(); client.close()
    subprocess.Popen(["sleep", "100"], pass_fds=[server.fileno()], start_new_session=True, stdout=-3, stderr=-3)
# --- next user of the slot
if REDUCED:
    attempt("IPv4", lambda: socket.socket(socket.AF_INET))
else:
    left = open("/proc/self/net/tcp").read().splitlines()[1:]
    successes += left
    received = int(open("/proc/self/net/dev").read().split("lo:")[1].split()[0])
    successes += [f"{received} bytes have passed"] if received else []
    refusals.append("no connection, nothing counted")
verdict()
