# tries: to drown the server in output
# expect: error: output limit exceeded: the first 1048576 bytes of stderr were kept
line = b"x" * 65535 + b"\n"
for _ in range(800):
    os.write(2, line)
