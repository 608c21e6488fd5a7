# tries: the same by record locks, which work on a file that is open for reading
# expect: absent: the files of the host that all sessions read are one inode each, and locks belong to inodes
import fcntl
held_lock = open("/usr/bin/find" if os.path.exists("/usr/bin/find") else "/usr/bin/env", "rb")
fcntl.lockf(held_lock, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, int("@MARKER@"[:6], 16))
# --- session b
import fcntl
other = open("/usr/bin/find" if os.path.exists("/usr/bin/find") else "/usr/bin/env", "rb")
asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, int("@MARKER@"[:6], 16), 1, 0)
kind = struct.unpack("hhqqi4x", fcntl.fcntl(other, fcntl.F_GETLK, asked))
print("held: no lock to be seen" if kind[0] == fcntl.F_UNLCK else f"BREACH: the other's lock is shown, of process {kind[4]}")
