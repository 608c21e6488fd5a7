# tries: to take more memory than a session may by many processes, of which each takes little
# expect: error: memory limit exceeded
children = []
for _ in range(10):
    child = os.fork()
    if not child:
        block = bytearray(100 << 20)
        for at in range(0, len(block), 4096):
            block[at] = 1
        time.sleep(2)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
