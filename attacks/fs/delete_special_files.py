# tries: to delete links, FIFOs and sockets, which hold no data
# expect: held
os.symlink("nowhere", "link"); os.mkfifo("fifo"); open("empty", "w").close()
try:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
except OSError:
    open("socket", "w").close()
for name in ("link", "fifo", "empty", "socket"):
    attempt("os " + name, lambda: os.unlink(name))
    attempt("libc " + name, lambda: checked(libc.unlink(name.encode())))
    attempt("rename " + name, lambda: checked(libc.rename(name.encode(), b"new")))
if not all(os.path.lexists(name) for name in ("link", "fifo", "empty", "socket")):
    successes.append("one is gone")
verdict()
