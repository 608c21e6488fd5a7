"""Runs the server with these arguments, waits for its end, and tells what it left running.

`--through PROGRAM` names a program to start it by.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

GONE_MAX = 5.0

arguments = sys.argv[1:]
program = BINARY
if "--through" in arguments:
    at = arguments.index("--through")
    program = arguments[at + 1]
    del arguments[at:at + 2]
set_child_subreaper = 36
if ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0):
    raise SystemExit("supervisor: cannot adopt")


def descendants():
    """Processes that are children of this one, and have not ended, with what they run."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat, open(f"/proc/{name}/cmdline") as line:
                state, parent = stat.read().rpartition(")")[2].split()[:2]
                if int(parent) == os.getpid() and state != "Z":
                    found.append((int(name), line.read().replace("\0", " ")))
        except OSError:
            pass
    return found


server = subprocess.Popen([program, *arguments])
try:
    status = server.wait(60)
except subprocess.TimeoutExpired:
    print("supervisor: the server serves", file=sys.stderr)
    server.terminate()
    server.wait()
    status = 99
end = time.monotonic() + GONE_MAX
while (left := descendants()) and time.monotonic() < end:
    time.sleep(0.02)
print(f"supervisor: {left} is left" if left else "supervisor: nothing is left", file=sys.stderr)
for pid, _ in left:
    os.kill(pid, signal.SIGKILL)
sys.exit(status)
