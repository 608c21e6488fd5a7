# tries: to open POSIX shared memory of the host
# expect: held
attempt("read", lambda: open("@SHM_FILE@").read())
attempt("write", lambda: open("@SHM_FILE@", "r+").write("egg"))
attempt("shm_open", lambda: checked(libc.shm_open("@SHM_FILE@".replace("/dev/shm", "").encode(), os.O_RDWR, 0)))
verdict()
