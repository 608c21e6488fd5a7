# tries: to delete relative to descriptors of folders, and through /proc/self
# expect: held
open("file", "w").write("egg"); os.makedirs("a/b")
for folder in (os.open(".", os.O_RDONLY), os.open(WORKSPACE, os.O_PATH), os.open("a/b/../..", os.O_PATH)):
    attempt("unlinkat", lambda: syscall("unlinkat", folder, b"file", 0))
    attempt("rmdir at", lambda: syscall("unlinkat", folder, b"a/b", 0x200))
    attempt("proc fd", lambda: checked(libc.unlink(f"/proc/self/fd/{folder}/file".encode())))
    attempt("proc fd, os", lambda: os.remove(f"/proc/self/fd/{folder}/file"))
for path in ("/proc/self/cwd/file", f"/proc/self/root{WORKSPACE}/file", "/proc/thread-self/cwd/file"):
    attempt(path, lambda: checked(libc.unlink(path.encode())))
if not os.path.exists("file") or not os.path.isdir("a/b"):
    successes.append("something is gone")
verdict()
