# tries: to close its own folders so that they cannot be removed, and the next session gets them
# expect: held
# expect reduced: refused: chmod
# expect reduced-user: refused: chmod
open("@MARKER@", "w").write("@MARKER@")
os.mkdir("inner")
open("inner/@MARKER@", "w").close()
for path in ("inner", WORKSPACE, SCRATCH):
    os.chmod(path, 0)
# --- next user of the slot
open(SCRATCH + "/own", "w").close()
found = os.listdir(WORKSPACE) + os.listdir(SCRATCH)
print("held: fresh folders" if found == ["own"] else f"BREACH: {found}")
