# tries: to find more devices than were meant for it
# expect: held
wanted = {"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "shm"}
try:
    found = set(os.listdir("/dev"))
except PermissionError:
    # Not even their names; each can still be opened by its own.
    found = {name for name in ("null", "zero", "full", "random", "urandom", "ptmx", "kmsg", "fuse") if os.access("/dev/" + name, os.F_OK)}
    found = {name for name in found if not attempt(name, lambda: os.open("/dev/" + name, os.O_RDONLY))} - wanted - {"ptmx", "kmsg", "fuse"}
    successes[:] = [text for text in successes if text.split(":")[0] not in wanted]
    refusals.append("the list: EACCES")
extra = found - wanted
successes.extend(extra)
refusals.append(f"no more than {sorted(wanted)}")
verdict()
