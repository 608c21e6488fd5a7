# tries: to see by inotify which shared files another session opens
# expect: absent: the files of the host that all sessions read are one inode each, and watches belong to inodes
# expect reduced: refused: inotify_add_watch
# expect reduced-user: refused: inotify_add_watch
watch = checked(libc.inotify_init1(os.O_NONBLOCK))
checked(libc.inotify_add_watch(watch, b"/usr/bin/base64", 0x20))
# --- session b
open("/usr/bin/base64", "rb").close()
# --- session a again
try:
    print("BREACH: the other's opening was seen" if os.read(watch, 4096) else "")
except BlockingIOError:
    print("held: nothing was seen")
