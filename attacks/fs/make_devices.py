# tries: to make device nodes of its own
# expect: held
import stat
for folder in (WORKSPACE, SCRATCH, "/dev"):
    for kind, major, minor in ((stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 8, 0), (stat.S_IFCHR, 0, 0), (stat.S_IFCHR, 1, 3)):
        attempt(f"{folder} {kind:o} {major}:{minor}", lambda: os.mknod(folder + "/node", kind | 0o666, os.makedev(major, minor)))
verdict()
