# tries: to have interrupts arrive at every point of the runner
# expect: held
os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
if os.fork() == 0:
    end = time.monotonic() + 1
    while time.monotonic() < end:
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(0.0001)
    os._exit(0)
# --- session b
time.sleep(2)
# --- session a again
print("held: answered all the same")
