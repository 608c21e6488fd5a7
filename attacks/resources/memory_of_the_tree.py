# tries: to take more memory than a session may by many processes, of which each takes little
# expect: error: memory limit exceeded
children = []
for _ in range(10):
    child = os.fork()
    if not child:
        block = b"x" * (70 << 20)
        time.sleep(1)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
