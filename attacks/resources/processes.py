# tries: to start as many processes as it likes (a hundred, so as not to harm a host that lets it)
# expect: held
# expect user: absent: processes are counted by uid, and sessions share the server's (SECURITY.md says so)
# expect reduced-user: absent: processes are counted by uid, and sessions share the server's (SECURITY.md says so)
children = []
try:
    for _ in range(100):
        child = os.fork()
        if not child:
            time.sleep(10)
            os._exit(0)
        children.append(child)
    print(f"BREACH: {len(children)} processes and no end")
except OSError as error:
    print(f"held: {error.strerror} after {len(children)}")
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
