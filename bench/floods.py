#!/usr/bin/env python3
"""What a quiet neighbour notices of floods: the time of `print(1+1)` in a live session, idle and under each.

    bench/floods.py [--eggbox target/release/eggbox] [--python PYTHON] [--seconds 5] [--only NAME]

Starts a server of its own. The neighbour executes every 20 ms on a kept connection; each flood lasts that many
seconds, in four parts with as long an idle part before each, so that a noisy moment hits both. Time counts from when
a request is sent. Prints p50, p99 and p99's ratio to that flood's own idle parts. The goal: p99 within 3 times of
idle. Exits with status 1 where it is missed, the neighbour got a wrong answer, or a flood did not get what it should
(a flood that stands still is none).

Generators and neighbour stand for other machines: the neighbour goes first (nice -15, where that is allowed), and the
generators are processes that get what the processors have left over (SCHED_IDLE), but the kernel's part of what they send
is done at once, whoever has to wait for that. The share of all processors that they took is printed beside that of the
server with its sessions. Where the generators take much, a miss is the machine's as well as the server's.
"""

import collections
import contextlib
import multiprocessing
import os
import select
import socket
import struct
import sys
import threading
import time
from typing import Callable, List, NamedTuple

import harness

PERIOD_SECONDS = 0.02
GOAL = 3
PARTS = 4
# So that a part is over before the server's 30 s for a request's head are.
SECONDS_MAX = 100
WALL_SECONDS_MAX = 1
# After a flood: what runs in sessions goes on though nobody waits for it.
SETTLE_SECONDS = WALL_SECONDS_MAX + 0.5
# Before a flood is measured: its sessions have started by then.
RISE_SECONDS = 0.3
NEIGHBOUR_NICE = -15

# What a generator that nobody ends any more ends by.
ORPHAN_SECONDS = 1

OPENING_THREADS = 32
HALF_OPEN_CONNECTIONS = 100
TRICKLING_CONNECTIONS = 50
HEADER_BYTES = 1 << 20
NESTING = 100_000
QUEUED, QUEUE_CONNECTIONS = 10_000, 100


class Flood(NamedTuple):
    """A kind of load."""

    name: str
    # How many generate it at once.
    processes: int
    # Is given the server's address, its number among these and a function to count what it does; goes on for ever.
    generate: Callable
    # All that may be counted.
    wants: List[str]


def run_for_ever(code, name):
    """Keeps a session running code that does not end, and takes what it prints."""

    def generate(address, number, count):
        client = harness.Client(address)
        while True:
            answer = client.execute(code, f"{name}-{number}")
            count("timeout" if "execution timeout" in answer.error else f"{answer.status} {answer.error}")

    return generate


def until_it_fails(work, *arguments):
    """Generates for ever; what stops it is counted, and then is among what nobody wants."""
    try:
        work(*arguments)
    except OSError as error:
        arguments[-1](f"stopped: {error!r}")


def in_threads(threads, work, count):
    """Has `work` done by so many threads."""
    started = [threading.Thread(target=until_it_fails, args=(work, count), daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def open_and_close(address, _, count):
    def open_one_by_one(count):
        while True:
            connection = socket.create_connection(address)
            # Closed by a reset: the addresses of properly closed ones, 28,000, would be used up in seconds.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            count("opened")

    # When the server's backlog is full the kernel lets a client wait for a second: others go on.
    in_threads(OPENING_THREADS, open_one_by_one, count)


def open_half(address, _, count):
    head = harness.request_bytes(address, "POST", "/execute", b"{}")
    connections = []
    for _ in range(HALF_OPEN_CONNECTIONS):
        connections.append(socket.create_connection(address))
        connections[-1].sendall(head[: len(head) // 2])
        count("opened")
    watch_open(connections, count)


def trickle(address, _, count):
    """Half of them trickle their heads, half their bodies."""
    body = harness.execute_body("print(1)" + " " * 1000, "trickle")
    request = harness.request_bytes(address, "POST", "/execute", body)
    sent = [0 if number % 2 else len(request) - len(body) for number in range(TRICKLING_CONNECTIONS)]
    connections = [socket.create_connection(address) for _ in sent]
    for connection, already in zip(connections, sent):
        connection.sendall(request[:already])
    while True:
        for number, connection in enumerate(connections):
            connection.sendall(request[sent[number] : sent[number] + 1])
            sent[number] += 1
            count("byte sent")
        watch_open(connections, count, 1)


def watch_open(connections, count, seconds=None):
    """Waits so long, or for ever; a connection that ends or is answered meanwhile is counted."""
    if select.select(connections, [], [], seconds)[0]:
        count("answered or closed too early")
        time.sleep(1)


def send_giant_header(address, _, count):
    request = harness.request_bytes(address, "GET", "/health")[:-2] + b"X-Giant: " + b"x" * HEADER_BYTES + b"\r\n\r\n"
    while True:
        client = harness.Client(address)
        client.connect()
        # The server need not read to the end of what it refuses.
        with contextlib.suppress(ConnectionError):
            client.send(request)
        try:
            count(str(client.read_answer()[0]))
        except ConnectionError:
            count("closed")
        client.close()


def send_deep_json(address, _, count):
    body = b'{"code": ' + b"[" * NESTING + b"]" * NESTING + b"}"
    client = harness.Client(address)
    while True:
        count(str(client.request("POST", "/execute", body)[0]))


def queue_up(address, _, count):
    """Pipelines requests for one session over many connections, and again when all are answered."""
    request = harness.request_bytes(address, "POST", "/execute", harness.execute_body("x = 1", "queue"))
    each = QUEUED // QUEUE_CONNECTIONS

    def send_all(count):
        client = harness.Client(address)
        while True:
            client.send(request * each)
            for _ in range(each):
                count(str(client.read_answer()[0]))

    in_threads(QUEUE_CONNECTIONS, send_all, count)


FLOODS = [
    Flood("output", 1, run_for_ever("while True: print('x' * 1000)", "output"), ["timeout"]),
    Flood("busy loops", 2 * os.cpu_count(), run_for_ever("while True: pass", "busy"), ["timeout"]),
    Flood("connections", 2, open_and_close, ["opened"]),
    Flood("half-open requests", 1, open_half, ["opened"]),
    Flood("a byte a second", 1, trickle, ["byte sent"]),
    Flood("giant headers", 1, send_giant_header, ["431", "closed"]),
    Flood("deep JSON", 1, send_deep_json, ["400"]),
    Flood("a long queue", 1, queue_up, ["200", "503"]),
]


class Generators:
    """The processes that make a flood, for the length of a block."""

    def __init__(self, flood, address):
        self.pipes = []
        self.children = []
        for number in range(flood.processes):
            ours, theirs = multiprocessing.Pipe()
            arguments = (flood, address, number, theirs)
            self.children.append(multiprocessing.Process(target=self.run, args=arguments, daemon=True))
            self.pipes.append(ours)

    @staticmethod
    def run(flood, address, number, pipe):
        """The child: generates until it is asked what it has done, and is then ended."""
        parent = os.getppid()
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        counts, lock = collections.Counter(), threading.Lock()

        def count(what):
            with lock:
                counts[what] += 1

        generating = (flood.generate, address, number, count)
        threading.Thread(target=until_it_fails, args=generating, daemon=True).start()
        while not pipe.poll(ORPHAN_SECONDS):
            if os.getppid() != parent:
                os._exit(1)
        with lock:
            pipe.send((dict(counts), time.process_time()))
        os._exit(0)

    def __enter__(self):
        for child in self.children:
            child.start()
        return self

    def stop(self):
        """What they did, and the processor seconds that it took."""
        counts, cpu_seconds = collections.Counter(), 0
        for pipe, child in zip(self.pipes, self.children):
            pipe.send("stop")
            done, seconds = pipe.recv()
            counts.update(done)
            cpu_seconds += seconds
            child.join()
        return counts, cpu_seconds

    def __exit__(self, *_):
        for child in self.children:
            if child.is_alive():
                child.kill()
                child.join()


class Neighbour:
    """A live session that asks for little."""

    def __init__(self, address):
        self.client = harness.Client(address)
        self.wrong = []

    def measure(self, seconds):
        """The milliseconds that each execution took."""
        times = []
        end = due = time.perf_counter()
        end += seconds
        while due < end:
            start = time.perf_counter()
            answer = self.client.execute("print(1+1)", "neighbour")
            now = time.perf_counter()
            times.append((now - start) * 1e3)
            if answer.stdout != "2\n" or answer.error:
                self.wrong.append(answer)
            # One that is late is not made up for.
            due = max(due + PERIOD_SECONDS, now)
            time.sleep(max(0, due - time.perf_counter()))
        return times


class Measured:
    """What a flood has come to, over its parts."""

    def __init__(self):
        self.idle, self.flooded = [], []
        self.counts = collections.Counter()
        self.seconds = self.generator_cpu = self.server_cpu = 0


def server_cpu_seconds(server):
    return sum(process.cpu_ticks for process in server.tree().values()) / harness.TICKS_PER_SECOND


def measure_part(server, neighbour, flood, seconds, measured):
    measured.idle += neighbour.measure(seconds)
    start, cpu = time.perf_counter(), server_cpu_seconds(server)
    with Generators(flood, server.address) as generators:
        time.sleep(RISE_SECONDS)
        measured.flooded += neighbour.measure(seconds)
        counts, cpu_seconds = generators.stop()
    measured.counts.update(counts)
    measured.generator_cpu += cpu_seconds
    measured.server_cpu += server_cpu_seconds(server) - cpu
    measured.seconds += time.perf_counter() - start
    time.sleep(SETTLE_SECONDS)


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=5, help=f"at most {SECONDS_MAX}")
    parser.add_argument("--only", choices=[flood.name for flood in FLOODS])
    options = parser.parse_args()
    if not 0 < options.seconds <= SECONDS_MAX:
        parser.error(f"--seconds must be over 0 and at most {SECONDS_MAX}")
    floods = [flood for flood in FLOODS if options.only in (None, flood.name)]
    results = {flood.name: Measured() for flood in floods}
    with harness.serving(options, "--wall-seconds-max", str(WALL_SECONDS_MAX)) as server:
        neighbour = Neighbour(server.address)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, NEIGHBOUR_NICE)
        neighbour.measure(0.5)
        for _ in range(PARTS):
            for flood in floods:
                measure_part(server, neighbour, flood, options.seconds / PARTS, results[flood.name])

    print(f"{options.python}, print(1+1) every {PERIOD_SECONDS * 1e3:g} ms, {os.cpu_count()} CPUs, ms; CPU in % of all")
    print(f"{'':20}{'idle p50':>9}{'p99':>7}{'p50':>9}{'p99':>8}{'ratio':>7}{'generators':>12}{'server':>8}  did")
    failed = bool(neighbour.wrong)
    for flood in floods:
        failed |= not show(flood, results[flood.name])
    for answer in neighbour.wrong[:3]:
        print(f"the neighbour got {answer}")
    sys.exit(1 if failed else 0)


def show(flood, measured):
    """Prints a flood's row; returns whether all was as it should be."""
    idle, flooded = measured.idle, measured.flooded
    base, p99 = harness.percentile(idle, 99), harness.percentile(flooded, 99)
    capacity = measured.seconds * os.cpu_count()
    cpu = [f"{used * 100 / capacity:.0f}%" for used in (measured.generator_cpu, measured.server_cpu)]
    did = ", ".join(f"{what}: {count}" for what, count in measured.counts.items())
    odd = [what for what in measured.counts if what not in flood.wants] or not measured.counts
    remarks = ("  MISSED" if p99 > GOAL * base else "") + ("  NOT AS IT SHOULD" if odd else "")
    print(f"{flood.name:20}{harness.median(idle):9.2f}{base:7.2f}{harness.median(flooded):9.2f}{p99:8.2f}", end="")
    print(f"{p99 / base:7.1f}{cpu[0]:>12}{cpu[1]:>8}  {did}{remarks}")
    return not remarks


if __name__ == "__main__":
    main()
