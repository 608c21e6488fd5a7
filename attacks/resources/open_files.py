# tries: to open as many files as it likes
# expect: held
count = 0
try:
    for count in range(2000):
        os.open("/dev/null", os.O_RDONLY)
    print(f"BREACH: {count} descriptors")
except OSError as error:
    os.closerange(3, 256)
    print(f"held: {error.strerror} after {count}")
