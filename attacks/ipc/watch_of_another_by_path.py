# tries: to watch by inotify the folders of another session, or of the server, where there is one root for all
# expect: held
open("early-@MARKER@", "w").close()
# --- session b
watch = checked(libc.inotify_init1(os.O_NONBLOCK))
paths = ["@STATE_DIR@", "@STATE_DIR@/sessions", "@DROP_FOLDER@", "/var/log"]
for slot in range(40):
    paths += [f"@STATE_DIR@/sessions/{slot}/{name}" for name in ("workspace", "tmp")]
for path in paths:
    if path not in (WORKSPACE, SCRATCH):
        attempt(path, lambda: checked(libc.inotify_add_watch(watch, path.encode(), 0xFFF)), ("ENOENT", "EACCES"))
verdict()
