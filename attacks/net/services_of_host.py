# tries: to talk to the host's daemons by their well-known sockets
# expect: held
def client():
    try:
        return socket.socket(socket.AF_UNIX)
    except OSError:
        return socket.socketpair()[0]
for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket", "/run/systemd/private",
             "/run/systemd/journal/stdout", "/dev/log", "/run/nscd/socket", "/tmp/.X11-unix/X0", "/run/podman/podman.sock", "/run/snapd.socket"):
    attempt(path, lambda: client().connect(path))
verdict()
