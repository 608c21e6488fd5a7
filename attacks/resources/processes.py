# tries: to start as many processes as it likes (a hundred, so as not to harm a host that lets it)
# expect: held
# expect reduced-user: error: session ended: process limit exceeded
children = []
try:
    for _ in range(100):
        child = os.fork()
        if not child:
            time.sleep(10)
            os._exit(0)
        children.append(child)
    time.sleep(3)
    print(f"BREACH: {len(children)} processes and no end")
except OSError as error:
    print(f"held: {error.strerror} after {len(children)}")
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
