# tries: to find itself root, or in groups
# expect: held
uids, gids, groups = os.getresuid(), os.getresgid(), os.getgroups()
good = len(set(uids)) == 1 and uids[0] != 0 and len(set(gids)) == 1 and gids[0] != 0 and (not groups or WAY in ("user", "reduced-user") and 0 not in groups)
print(f"held: {uids} {gids} {groups}" if good else f"BREACH: {uids} {gids} {groups}")
