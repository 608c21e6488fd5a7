# tries: to become root, or anybody else, by every call that changes ids
# expect: held
me = os.getuid()
for other in {0, 1, 65534, me + 1, me - 1}:
    for name in ("setuid", "setgid", "seteuid", "setegid"):
        attempt(f"{name} {other}", lambda: getattr(os, name)(other))
    attempt(f"setresuid {other}", lambda: os.setresuid(other, other, other))
    attempt(f"setresgid {other}", lambda: os.setresgid(-1, other, -1))
    attempt(f"setgroups {other}", lambda: os.setgroups([other]))
    libc.setfsuid(other); libc.setfsgid(other)
if libc.setfsuid(-1) != me:
    successes.append("fsuid")
verdict()
