# tries: to delete by raw system calls that no hook of Python sees
# expect: held
open("file", "w").write("egg"); os.mkdir("empty"); open("other", "w").write("o")
path = (WORKSPACE + "/file").encode()
for what, call in dict(
    unlink=lambda: syscall("unlink", b"file"), unlink_path=lambda: syscall("unlink", path), rmdir=lambda: syscall("rmdir", b"empty"),
    unlinkat=lambda: syscall("unlinkat", -100, b"file", 0), unlinkat_dir=lambda: syscall("unlinkat", -100, b"empty", 0x200),
    unlinkat_any=lambda: syscall("unlinkat", 99999, path, 0), rename=lambda: syscall("rename", b"file", b"other"),
    renameat=lambda: syscall("renameat", -100, b"file", -100, b"other"), renameat2=lambda: syscall("renameat2", -100, b"file", -100, b"new", 1),
).items():
    attempt(what, call)
if open("file").read() != "egg" or not os.path.isdir("empty"):
    successes.append("something is gone")
verdict()
