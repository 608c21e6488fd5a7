"""The ways in which `soak.py` ends sessions: by what code, and what has to be answered then. Not a program."""

import collections
from typing import Callable, NamedTuple, Optional

# Of one session, when the server has such a limit.
MEMORY_BYTES_MAX = 128 << 20

# What every session runs first.
USE = "import ctypes, mmap, os, resource, signal, time\nx = 5"

IGNORES_THE_INTERRUPT = """
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""

# Doubles as often as the limit of processes allows; then the first goes on alone until nothing more can be had.
FORK_BOMB = """
try:
    for _ in range(7):
        os.fork()
except OSError:
    pass
while os.getpid() != 1:
    time.sleep(60)
for _ in range(128):
    try:
        if os.fork() == 0:
            while True:
                time.sleep(60)
    except OSError:
        break
else:
    print("unbounded")
time.sleep(60)
"""

DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        time.sleep(60)
os.wait()
print("left")
"""

# More than a process may have; where the server has no limit of memory the session gives itself one, of address space.
MEMORY_REFUSED = "bytearray(1 << 30)"
MEMORY_REFUSED_BY_ITSELF = "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n" + MEMORY_REFUSED

# More than all processes may have, and at most twice that. The kernel fills it (MAP_POPULATE): the wall time is short.
MEMORY_TAKEN = f"""
for _ in range(4):
    if os.fork() == 0:
        held = mmap.mmap(-1, {MEMORY_BYTES_MAX // 2}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
        time.sleep(60)
for _ in range(4):
    os.wait()
"""


class Way(NamedTuple):
    """A way for a session to end."""

    # How often it is taken, beside the others.
    weight: int
    code: Optional[str] = None
    # What the answer must satisfy; none where nobody waits for it.
    expects: Optional[Callable] = None
    # Whether the session outlives it, to end by being idle; none where either is right.
    lives_on: Optional[bool] = None


def prints(stdout):
    return lambda answer: (answer.status, answer.stdout, answer.stderr, answer.error) == (200, stdout, "", "")


def says(*parts):
    return lambda answer: answer.status == 200 and all(part in answer.error for part in parts)


def died(cause):
    return says(cause, "session state lost")


is_kept_timeout = says("execution timeout", "session state kept")


def is_bounded_timeout(answer):
    return says("execution timeout")(answer) and "unbounded" not in answer.stdout


def is_out_of_memory(answer):
    return answer.status == 200 and ("memory limit exceeded" in answer.error or "MemoryError" in answer.stderr)


def is_taken_memory(answer):
    """Some processes are ended; then the first is told of it, or waits for the others until its time is over."""
    return says("memory limit exceeded")(answer) or says("execution timeout")(answer)


def all_ways(has_memory_limit):
    """All of them, by name."""
    ways = {
        "exit": Way(6, "os._exit(3)", died("exited with status 3"), False),
        "idle": Way(4, "print(x * 2)", prints("10\n"), True),
        "memory refused": Way(2, MEMORY_REFUSED, is_out_of_memory),
        "memory taken": Way(1, MEMORY_TAKEN, is_taken_memory),
        "timeout with a kill": Way(2, IGNORES_THE_INTERRUPT, died("execution timeout"), False),
        "timeout, interrupted asleep": Way(1, "time.sleep(60)", is_kept_timeout, True),
        "timeout, interrupted busy": Way(1, "while True: pass", is_kept_timeout, True),
        "segmentation fault": Way(4, "ctypes.string_at(0)", died("SIGSEGV"), False),
        "client leaves half a request": Way(2, "x = 6", None, True),
        "client leaves its answer": Way(2, "time.sleep(.1)", None, True),
        "fork bomb": Way(1, FORK_BOMB, is_bounded_timeout),
        "daemon, then exit": Way(2, DAEMON, prints("left\n")),
        "daemon, then deleted": Way(3, DAEMON, prints("left\n"), False),
        "deleted while it runs": Way(3, "time.sleep(60)", None, False),
        "daemon, then idle": Way(2, DAEMON, prints("left\n"), True),
    }
    if not has_memory_limit:
        ways["memory refused"] = ways["memory refused"]._replace(code=MEMORY_REFUSED_BY_ITSELF)
        del ways["memory taken"]
    return ways


class Plan(NamedTuple):
    """What is decided of a session before it is made."""

    way: str
    # Whether the client names it, or the server.
    is_named: bool
    # Whether somebody asks for it after its end, or what should have been its end.
    asked: str


def plans(ways, count, dice):
    """So many, drawn by these dice."""
    names = dice.choices(list(ways), [way.weight for way in ways.values()], k=count)
    return collections.deque(Plan(name, dice.random() < 0.7, dice.choice(("never", "now", "later"))) for name in names)
