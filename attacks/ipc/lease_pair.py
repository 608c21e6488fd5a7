# tries: to notice by a lease that another session opens a file
# expect: held
import fcntl
held_lease = open("/usr/bin/env", "rb")
for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
    attempt(f"lease {kind}", lambda: fcntl.fcntl(held_lease, fcntl.F_SETLEASE, kind))
verdict()
