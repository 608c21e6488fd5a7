# tries: to use up what the kernel counts by user, so that another session has none: inotify instances
# expect: held
# expect reduced-user: absent: sessions share the server's uid, and the kernel counts inotify instances by it
kept = []
try:
    while True:
        kept.append(checked(libc.inotify_init1(0)))
except OSError as error:
    reason = error.strerror
# --- session b
try:
    os.close(checked(libc.inotify_init1(0)))
    print("held: it has a count of its own")
except OSError as error:
    print("BREACH:", error.strerror)
