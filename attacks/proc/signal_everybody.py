# tries: to signal every process that it may signal
# expect: held
try:
    # kill(2) with -1 may call it a success where it reached nobody; `check` sees whether it did.
    os.kill(-1, signal.SIGTERM)
    print("held: the host's process outlives it")
except OSError as error:
    print("held:", error.strerror)
