# tries: to use up the kernel's memory for pipes, timers and signals
# expect: held
import fcntl
pipes, largest = [], 0
try:
    for _ in range(100):
        pipes.append(os.pipe())
        largest = max(largest, fcntl.fcntl(pipes[-1][0], 1031, 1 << 20))
except OSError as error:
    refusals.append(f"{error.strerror} after {len(pipes)} pipes of up to {largest}")
for pair in pipes:
    os.close(pair[0]); os.close(pair[1])
attempt("a pipe of 64 MiB", lambda: fcntl.fcntl(os.pipe()[0], 1031, 64 << 20))
verdict()
