# tries: to leave a process that outlives the session and meets the next user of its slot
# expect: held
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (1, 2, CHANNEL):
            os.close(number)
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for folder in {SCRATCH, WORKSPACE, "/dev/shm"}:
                try:
                    open(folder + "/@MARKER@", "w").close()
                except OSError:
                    pass
            time.sleep(0.01)
    os._exit(0)
time.sleep(0.2)
# --- next user of the slot
time.sleep(0.5)
found = [folder for folder in {SCRATCH, WORKSPACE, "/dev/shm"} if os.path.exists(folder + "/@MARKER@")]
others = [] if REDUCED else [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
print(f"BREACH: {found} {others}" if found or others else "held: nobody is left")
