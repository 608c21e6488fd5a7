# tries: to find secrets of the server in the environment
# expect: held
allowed = {"HOME", "LANG", "LOGNAME", "USER", "PATH", "MPLBACKEND", "MPLCONFIGDIR", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS",
           "OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "XDG_CACHE_HOME", "TMPDIR", "LC_CTYPE", "EGGBOX_GENERATION"}
names = set(os.environ)
for path in ("/proc/self/environ", "/proc/1/environ", f"/proc/{os.getppid()}/environ"):
    try:
        names |= {entry.split(b"=")[0].decode() for entry in open(path, "rb").read().split(b"\0") if entry}
    except OSError:
        pass
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
index = 0
while environ[index]:
    names.add(environ[index].split(b"=")[0].decode())
    index += 1
print(f"BREACH: {names - allowed}" if names - allowed else f"held: {len(names)} variables, all on the list")
