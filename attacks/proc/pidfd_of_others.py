# tries: to hold a process of the host by a pidfd, to signal it and to take its descriptors
# expect: held
for pid in {int("@SERVER_PID@"), int("@CANARY_PID@"), os.getppid() or 2}:
    def signal_it():
        return syscall("pidfd_send_signal", syscall("pidfd_open", pid, 0), signal.SIGCONT, None, 0)
    attempt(f"signal {pid}", signal_it)
    attempt(f"descriptor {pid}", lambda: syscall("pidfd_getfd", syscall("pidfd_open", pid, 0), 0, 0))
    attempt(f"wait {pid}", lambda: os.waitid(3, syscall("pidfd_open", pid, 0), os.WEXITED | os.WNOHANG))
verdict()
