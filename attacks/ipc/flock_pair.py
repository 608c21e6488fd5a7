# tries: to pass a bit to another session by a lock on a file that both can read
# expect: absent: the files of the host that all sessions read are one inode each, and locks belong to inodes
import fcntl
held_lock = open(SHARED, "rb")
fcntl.flock(held_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
# --- session b
import fcntl
other = open(SHARED, "rb")
try:
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("held: the lock was free")
except BlockingIOError:
    print("BREACH: the other's lock can be felt")
# --- session a again
held_lock.close()
print("BREACH: and it can be let go")
