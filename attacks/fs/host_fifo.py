# tries: to write into a FIFO of the host that all may write to
# expect: held
attempt("open", lambda: os.write(os.open("@FIFO@", os.O_WRONLY | os.O_NONBLOCK), b"egg"))
attempt("read", lambda: os.read(os.open("@FIFO@", os.O_RDONLY | os.O_NONBLOCK), 1))
verdict()
