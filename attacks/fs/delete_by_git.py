# tries: to have git remove and replace files
# expect: held
open("file", "w").write("egg")
inode = os.stat("file").st_ino
if shutil.which("git"):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_DIR": SCRATCH + "/git", "GIT_WORK_TREE": WORKSPACE}
    for line in ("init -q", "add file", "-c user.name=e -c user.email=e@e commit -qm m", "rm -qf file", "stash", "clean -fdxq", "checkout -f HEAD -- file"):
        subprocess.run(["git", *line.split()], env=environment, capture_output=True)
print("held: the file is the same" if os.path.exists("file") and os.stat("file").st_ino == inode else "BREACH: the file was removed")
