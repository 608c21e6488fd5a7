# tries: to leave a link where the next session's folders are made
# expect: held
open("@MARKER@", "w").close()
for path in (WORKSPACE, SCRATCH, os.path.dirname(WORKSPACE)):
    for call in ("rmdir", "rename"):
        attempt(f"{call} {path}", lambda: checked(libc.rmdir(path.encode()) if call == "rmdir" else libc.rename(path.encode(), (path + "-old").encode())))
if successes:
    raise SystemExit(successes)
try:
    os.chmod(os.path.dirname(WORKSPACE), 0o777)
    os.symlink("@DROP_FOLDER@", os.path.dirname(WORKSPACE) + "/planted")
except OSError:
    pass
# --- next user of the slot
open("mine", "w").write("mine")
links = [path for path in (WORKSPACE, SCRATCH) if os.path.islink(path)]
print(f"BREACH: {links} {os.listdir(WORKSPACE)}" if links or os.listdir(WORKSPACE) != ["mine"] else "held: own folders, and only own files")
