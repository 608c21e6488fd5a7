# tries: to hold the answer up by a child that keeps stdout open
# expect: held
subprocess.Popen(["sleep", "30"])
if os.fork() == 0:
    os.setsid()
    time.sleep(30)
    os._exit(0)
print("held: the answer did not wait")
