# tries: to delete in forked children and their children, with and without a session of their own
# expect: held
open("file", "w").write("egg")
for detach in (False, True):
    child = os.fork()
    if not child:
        if detach:
            os.setsid()
        for call in (lambda: os.remove("file"), lambda: libc.unlink(b"file"), lambda: subprocess.run(["rm", "-f", "file"], stderr=-3)):
            try:
                call()
            except OSError:
                pass
        grandchild = os.fork()
        if not grandchild:
            libc.unlink(b"file")
            os._exit(0)
        os.waitpid(grandchild, 0)
        os._exit(0)
    os.waitpid(child, 0)
subprocess.run([sys.executable, "-Ic", "import os; os.remove('file')"], stderr=-3)
print("held: the file is there" if os.path.exists("file") else "BREACH: a child deleted it")
