# tries: to put something into a folder of the host that all may write to
# expect: held
at = "@DROP_FOLDER@/egg"
attempt("file", lambda: open(at, "w"))
attempt("folder", lambda: os.mkdir(at))
attempt("link", lambda: os.symlink("/", at))
attempt("fifo", lambda: os.mkfifo(at))
attempt("rename", lambda: (open(SCRATCH + "/e", "w"), os.rename(SCRATCH + "/e", at)))
attempt("hard link", lambda: (open(SCRATCH + "/f", "w"), os.link(SCRATCH + "/f", at)))
attempt("temporary", lambda: os.open("@DROP_FOLDER@", os.O_TMPFILE | os.O_RDWR))
with socket.socket(socket.AF_UNIX) if not REDUCED else socket.socketpair()[0] as listener:
    attempt("socket", lambda: listener.bind(at))
verdict()
