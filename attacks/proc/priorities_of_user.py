# tries: to slow all processes of its uid, or of everybody, at once
# expect: held
who_user, who_group = os.PRIO_USER, os.PRIO_PGRP
attempt("nice of a group", lambda: os.setpriority(who_group, os.getpgid(int("@CANARY_PID@")), 1))
attempt("nice of root", lambda: os.setpriority(who_user, 1, 1))
before = os.getpriority(os.PRIO_PROCESS, 0)
try:
    os.setpriority(who_user, os.getuid(), before)  # its own: whether others are reached is `check`'s to see
except OSError:
    pass
attempt("disk of root", lambda: syscall("ioprio_set", 3, 1, (2 << 13) | 7))
verdict()
