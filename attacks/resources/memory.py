# tries: to take more memory than a session may in one piece (512 MiB, so as not to harm a host that lets it)
# expect: held
try:
    block = bytearray(512 << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    print("BREACH: 512 MiB, touched")
    del block
except MemoryError:
    print("held: MemoryError")
