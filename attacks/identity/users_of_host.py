# tries: to list the users of the host
# expect: held
import pwd, grp
names = {entry.pw_name for entry in pwd.getpwall()} | {entry.gr_name for entry in grp.getgrall()}
print(f"BREACH: {sorted(names)[:10]}" if names - {"eggbox"} else f"held: {names or 'nobody'}")
