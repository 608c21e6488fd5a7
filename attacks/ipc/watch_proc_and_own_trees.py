# tries: to see by inotify what another session does in its own trees and in /proc
# expect: held
watch = checked(libc.inotify_init1(os.O_NONBLOCK))
for path in (WORKSPACE, SCRATCH, "/dev/shm", "/proc", "/tmp"):
    libc.inotify_add_watch(watch, path.encode(), 0xFFF & ~0x31)
# --- session b
open("egg-@MARKER@", "w").close()
open(SCRATCH + "/egg-@MARKER@", "w").close()
# --- session a again
try:
    seen = os.read(watch, 65536)
except BlockingIOError:
    seen = b""
print("BREACH: the other's file was seen" if b"egg-@MARKER@" in seen else "held: nothing of the other's")
