# tries: to pass its own interrupt off as the server's
# expect: held
print("held: no timeout is told", flush=True)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(1)
