# tries: to leave orphans of every kind in a living session, and to be rid of them by nobody
# expect: held
children = []
for number in range(8):
    children.append(subprocess.Popen(["sleep", "50"], start_new_session=True, stdout=-3, stderr=-3))
    if os.fork() == 0:
        os.fork()
        os.setsid()
        time.sleep(50)
        os._exit(0)
print("held: they end with the session, as the tests of shutdown see")
