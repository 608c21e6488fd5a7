# tries: to list and read the places where users and services keep secrets
# expect: held
for path in ("/root", "/home", "/var/lib", "/var/log", "/boot", "/srv", "/opt", "/etc/ssl/private", "/run/secrets",
             "/var/run/secrets/kubernetes.io", "/root/.ssh", "/root/.bash_history", "/var/spool", "/mnt", "/media"):
    if sys.prefix.startswith(path):
        # The way to the interpreter, and nothing beside it.
        extra = set(os.listdir(path)) - {sys.prefix[len(path):].split("/")[1]}
        successes.extend(extra)
    else:
        attempt(path, lambda: os.listdir(path), ("ENOENT", "EACCES"))
verdict()
