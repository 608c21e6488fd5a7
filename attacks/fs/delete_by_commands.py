# tries: to delete by the commands of the host
# expect: held
open("file", "w").write("egg"); os.makedirs("tree/inner"); open("tree/leaf", "w").write("leaf")
for command in (["rm", "-rf", "file", "tree"], ["unlink", "file"], ["rmdir", "tree/inner"], ["mv", "file", "new"], ["mv", "-f", "tree", SCRATCH],
                ["find", ".", "-delete"], ["perl", "-e", "unlink 'file'"], ["tar", "-cf", SCRATCH + "/t.tar", "--remove-files", "file"],
                ["sed", "-i", "s/egg/new/", "file"], ["install", "/dev/null", "file"], ["ln", "-sf", "/dev/null", "file"],
                ["cp", "--remove-destination", "/dev/null", "file"], ["sort", "-o", "other", "file"]):
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True) if shutil.which(command[0]) else None
refusals.append("the commands failed")
if not os.path.exists("file") or open("file").read() not in ("egg", "") or open("tree/leaf").read() != "leaf" or not os.path.isdir("tree/inner"):
    successes.append("something is gone")
if os.stat("file").st_nlink != 1:
    successes.append("it is another file")
verdict()
