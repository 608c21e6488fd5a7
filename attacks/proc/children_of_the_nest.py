# tries: to make a child that is its parent's: where no pid namespace stands between, one of the nest's
# expect: held
CLONE_PARENT = 0x8000
def child_of_the_parent(name, *arguments):
    child = syscall(name, *arguments)
    if child == 0:
        os._exit(0)
    return child
# Refused by the filter it is EPERM; let through, the kernel answers pid 1 of a namespace with EINVAL, others with a child.
attempt("clone", lambda: child_of_the_parent("clone", CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0), ("EPERM",))
attempt("clone3", lambda: child_of_the_parent("clone3", struct.pack("8Q", CLONE_PARENT, *[0] * 7), 64), ("ENOSYS",))
verdict()
