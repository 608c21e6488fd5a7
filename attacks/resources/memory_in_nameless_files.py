# tries: to take more memory than a session may by files that are in memory and have no name
# expect: error: memory limit exceeded
# expect user: absent: the watchdog that stands in for control groups adds up processes, not files (SECURITY.md says so)
# expect reduced-user: absent: the watchdog that stands in for control groups adds up processes, not files (SECURITY.md says so)
block = bytes(1 << 20)
files = [os.memfd_create(f"file {number}") for number in range(3)]
for file in files:
    for _ in range(200):
        os.write(file, block)
print("BREACH: 600 MiB")
