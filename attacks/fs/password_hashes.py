# tries: to read the host's password hashes
# expect: held
for path in ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/shadow-"):
    attempt(path, lambda: open(path).read(100))
verdict()
