# tries: to take back what was given up: filters, limits, no_new_privs
# expect: held
import resource
attempt("seccomp strict", lambda: syscall("seccomp", 0, 0, None))
attempt("seccomp filter", lambda: syscall("seccomp", 1, 0, struct.pack("HxxxxxxQ", 1, 0)))
attempt("seccomp listener", lambda: syscall("seccomp", 1, 8, struct.pack("HxxxxxxQ", 1, 0)))
attempt("no_new_privs", lambda: syscall("prctl", 38, 0, 0, 0, 0))
for name in ("NOFILE", "CORE", "STACK", "MEMLOCK", "FSIZE"):
    limit = getattr(resource, "RLIMIT_" + name)
    try:
        resource.setrlimit(limit, (resource.getrlimit(limit)[1] + 1,) * 2)
        successes.append(name)
    except (OSError, ValueError) as error:
        refusals.append(f"{name}: {error}")
verdict()
