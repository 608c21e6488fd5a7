"""State of many kinds that a session can have: `step(feature, n)` changes some and returns what can be seen of it."""

import array
import asyncio
import bisect
import collections
import contextvars
import csv
import datetime
import decimal
import enum
import fcntl
import functools
import hashlib
import heapq
import io
import itertools
import json
import os
import pickle
import re
import resource
import signal
import sqlite3
import struct
import sys
import tempfile
import threading
import types
import weakref
import zlib

S = types.SimpleNamespace()


def containers(n):
    ring = getattr(S, "ring", None) or [0]
    ring[0] += n
    if len(ring) == 1:
        ring.append(ring)
    S.ring = ring
    tree = S.__dict__.setdefault("tree", {})
    tree[n] = {"self": tree, "set": frozenset(range(n % 7)), "tuple": (n, str(n) * (n % 5))}
    return ring[0], ring[1] is ring, sorted(tree), tree[n]["self"] is tree, sum(len(v["set"]) for v in tree.values())


def generators(n):
    def counting(start):
        while True:
            got = yield start
            start += got or 1

    if not hasattr(S, "gen"):
        S.gen = counting(n)
        S.pipe = (x * x for x in (y + 1 for y in itertools.count(n)))
        next(S.gen)
    return S.gen.send(n), next(S.gen), next(S.pipe), S.gen.gi_frame.f_locals["start"]


def coroutines(n):
    @types.coroutine
    def waiting():
        got = yield "waits"
        return got

    async def adding():
        total = 0
        while True:
            total += await waiting()
            seen.append(total)

    if not hasattr(S, "coro"):
        S.seen = seen = []
        S.coro = adding()
        S.coro.send(None)
    return S.coro.send(n), S.seen[-3:]


def closures(n):
    if not hasattr(S, "inc"):
        count = 0

        def inc(by, *, scale=2):
            nonlocal count
            count += by * scale
            return count

        S.inc = inc
        S.partial = functools.partial(inc, scale=3)
        S.cached = functools.lru_cache(maxsize=4)(lambda x: (x, count))
    return S.inc(n), S.partial(1), S.cached(n % 3), S.cached.cache_info()


class Meta(type):
    made = 0

    def __call__(cls, *args):
        Meta.made += 1
        return super().__call__(*args)


class Slotted(metaclass=Meta):
    __slots__ = ("value", "__weakref__")

    def __init__(self, value):
        self.value = value

    @property
    def double(self):
        return self.value * 2


class Colour(enum.Flag):
    RED = 1
    BLUE = 2


def classes(n):
    objects = S.__dict__.setdefault("objects", [])
    refs = S.__dict__.setdefault("refs", weakref.WeakValueDictionary())
    objects.append(Slotted(n))
    refs[n] = objects[-1]
    if len(objects) > 3:
        objects.pop(0)
    local = type(f"Made{n}", (Slotted,), {"double": property(lambda self: self.value * 4)})
    S.local = local(n)
    return Meta.made, [o.double for o in objects], sorted(refs), S.local.double, str(Colour.RED | Colour.BLUE)


def regexes(n):
    if not hasattr(S, "pattern"):
        S.pattern = re.compile(r"(?P<word>[a-z]+)(?=\d)|(\d{2,})")
        S.matches = S.pattern.finditer("ab12 cd3 ef456 " * 500)
    match = next(S.matches)
    return match.span(), match.lastgroup, re.sub(r"(\w)\1", r"<\1>", "aabbcc" * (n % 4)), bool(S.pattern.match("x1"))


def databases(n):
    if not hasattr(S, "db"):
        S.db = sqlite3.connect(":memory:", isolation_level=None)
        S.db.execute("create table t(x integer primary key, y text)")
        S.db.create_function("twice", 1, lambda x: x * 2)
        S.cursor = None
    S.db.execute("insert or replace into t values(?, ?)", (n, "y" * (n % 300)))
    if S.cursor is None or (row := S.cursor.fetchone()) is None:
        S.cursor = S.db.execute("select x from t order by x")
        row = S.cursor.fetchone()
    return S.db.execute("select count(*), sum(length(y)), sum(twice(x)) from t").fetchone(), row


def tables(n):
    # Nothing is removed here, as that may be forbidden.
    if not hasattr(S, "table"):
        S.table = sqlite3.connect("tables.db", isolation_level=None)
        S.table.execute("pragma journal_mode=truncate")
        S.table.execute("create table t(x, y text)")
    if n % 4 == 0 and not S.table.in_transaction:
        S.table.execute("begin immediate")
    S.table.execute("insert into t values(?, ?)", (n, "y" * (n % 2000)))
    if n % 4 and S.table.in_transaction:
        S.table.execute("rollback" if n % 5 == 0 else "commit")
    return S.table.execute("select count(*), sum(x), sum(length(y)) from t").fetchone(), S.table.in_transaction


def numbers(n):
    decimal.getcontext().prec = 20 + n % 30
    S.big = getattr(S, "big", 3) ** 3 % (1 << 2000) + n
    S.sum = getattr(S, "sum", decimal.Decimal(0)) + decimal.Decimal(1) / decimal.Decimal(n + 7)
    return S.big % 1000003, S.big.bit_length(), str(S.sum), decimal.getcontext().prec, (0.1 * n).hex()


def recursion(n):
    def walk(depth):
        if depth:
            yield from walk(depth - 1)
        yield depth

    if not hasattr(S, "walk"):
        S.walk = walk(150)
    return [next(S.walk, "end") for _ in range(n % 5 + 1)]


def files(n):
    if not hasattr(S, "file"):
        S.file = open("features.txt", "w+", newline="")
        S.other = os.open("features.bin", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    S.file.write(f"line {n}\n")
    S.file.flush()
    os.write(S.other, bytes([n % 256]))
    at = S.file.tell()
    S.file.seek(0)
    first = S.file.readline()
    S.file.seek(at)
    return at, first, os.lseek(S.other, 0, os.SEEK_CUR), os.pread(S.other, 4, 0), os.path.getsize("features.bin")


def nameless(n):
    if not hasattr(S, "nameless"):
        S.nameless = tempfile.TemporaryFile()
        S.memory = os.fdopen(os.memfd_create("state"), "w+b", buffering=0)
    S.nameless.write(bytes([n % 256]) * (n + 1))
    S.nameless.flush()
    S.memory.write(str(n).encode())
    at = S.memory.tell()
    return S.nameless.tell(), os.pread(S.nameless.fileno(), 3, 0), at, os.pread(S.memory.fileno(), 5, 0)


def extensions(n):
    if not hasattr(S, "hash"):
        S.hash = hashlib.sha256()
        S.packer = zlib.compressobj(6)
        S.packed = 0
        S.heap, S.deque, S.array = [], collections.deque(maxlen=5), array.array("d")
        S.rows = csv.reader(io.StringIO("a,b\n" * 500))
        S.bytes = bytearray(1000)
        S.view = memoryview(S.bytes)[10:500]
        S.unpack = struct.iter_unpack("<I", bytes(range(256)) * 20)
    S.hash.update(str(n).encode())
    S.packed += len(S.packer.compress(os.urandom(0) + str(n).encode() * 2000))
    heapq.heappush(S.heap, (n * 7919) % 1009)
    S.deque.appendleft(n)
    S.array.append(n / 3)
    S.view[n % 400] = n % 256
    next(S.rows)
    pickled = pickle.loads(pickle.dumps({"n": n, "d": datetime.date(2000, 1, 1) + datetime.timedelta(n)}))
    return (S.hash.hexdigest()[:12], S.packed, S.heap[0], list(S.deque), sum(S.array), sum(S.bytes), S.rows.line_num,
            next(S.unpack), pickled["d"].isoformat(), bisect.bisect(sorted(S.heap), 500))


VAR = contextvars.ContextVar("var", default=0)
LOCAL = threading.local()


def contexts(n):
    VAR.set(VAR.get() + n)
    LOCAL.total = getattr(LOCAL, "total", 0) + n
    S.copied = contextvars.copy_context()
    return VAR.get(), LOCAL.total, S.copied.run(VAR.get), len(S.copied)


def failures(n):
    try:
        [].pop() if n % 2 else {}[n]
    except Exception as error:
        S.error = error
    frames = 0
    at = S.error.__traceback__
    while at is not None:
        frames, at = frames + 1, at.tb_next
    return repr(S.error), frames


def surroundings(n):
    folder = f"folder{n % 3}"
    os.makedirs(folder, exist_ok=True)
    os.environ["FEATURE"] = os.environ.get("FEATURE", "") + str(n % 10)
    umask = os.umask(0o20 + n % 8)
    open(f"{folder}/{n}", "w").close()
    return os.getcwd(), os.environ["FEATURE"][-6:], oct(umask), sorted(os.listdir(folder))


def standing(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_RSS)
    resource.setrlimit(resource.RLIMIT_RSS, (n << 30, (1 << 50 if hard < 0 else hard) - n))
    resource.setrlimit(resource.RLIMIT_NOFILE, (100 + n % 50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if not hasattr(S, "processors"):
        S.processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {S.processors[n % len(S.processors)]})
    limits = [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")
              and name != "RLIMIT_DATA"]
    return limits, os.nice(n % 50 == 0), os.sched_getaffinity(0), os.sched_getscheduler(0)


def locks(n):
    if not hasattr(S, "locked"):
        S.locked = [open(f"locked{i}", "w+b", buffering=0) for i in range(2)]
    fcntl.lockf(S.locked[0], fcntl.LOCK_EX if n % 3 else fcntl.LOCK_UN, 5, n % 20)
    fcntl.flock(S.locked[1], [fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN][n % 3])
    child = os.fork()
    if child == 0:
        held = 0
        for i in range(25):
            try:
                fcntl.lockf(S.locked[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, i)
            except OSError:
                held += 1
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            with open("locked1", "rb") as other:
                try:
                    fcntl.flock(other, kind | fcntl.LOCK_NB)
                except OSError:
                    held += 100
        os._exit(held if held < 200 else held - 70)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def signals(n):
    if not hasattr(S, "caught"):
        S.caught = []
        signal.signal(signal.SIGUSR1, lambda number, frame: S.caught.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    return len(S.caught), signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL, signal.getitimer(signal.ITIMER_PROF)


def memory(n):
    blocks = S.__dict__.setdefault("blocks", {})
    blocks[n % 5] = bytearray(n * 977 % 900_000)
    blocks[n % 5][-1:] = b"z"
    small = S.__dict__.setdefault("small", [])
    small.extend(str(i) * 3 for i in range(n * 13 % 3000))
    del small[: len(small) // 2]
    return {k: (len(v), v[-1]) for k, v in sorted(blocks.items())}, len(small), small[-1:] if small else None


def modules(n):
    name = ["statistics", "xml.dom.minidom", "html.parser", "email.mime.text", "fractions", "difflib", "textwrap",
            "uuid", "graphlib", "cmath", "ipaddress", "shlex"][n % 12]
    module = __import__(name, fromlist=["x"])
    S.loaded = getattr(S, "loaded", set()) | {name}
    return module.__name__, sorted(S.loaded), all(name in sys.modules for name in S.loaded)


async def wait(n):
    await asyncio.sleep(0)
    S.awaited = getattr(S, "awaited", 0) + n
    return S.awaited, json.dumps({"n": n})


FEATURES = [containers, generators, coroutines, closures, classes, regexes, databases, tables, numbers, recursion, files,
            nameless, extensions, contexts, failures, surroundings, standing, locks,
            signals, memory, modules]


def step(feature, n):
    return FEATURES[feature % len(FEATURES)](n)
