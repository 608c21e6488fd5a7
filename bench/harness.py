"""What the programs of this folder share: a server of their own, a client, percentiles, and what the kernel says.

Not a program. A server gets a port of the loopback and a folder of its own. Its processes are known by descent and by
the pidfds that it holds (a nest is an orphan on purpose), and remembered with the time they started: only those are
ever signalled.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20
# How long after its server a nest may take to be gone.
LEAVE_SECONDS_MAX = 5
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def arguments(description):
    """A parser that knows what every program here is told."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--eggbox", default="target/release/eggbox")
    parser.add_argument("--python", default=".venv/bin/python3" if os.path.exists(".venv/bin/python3") else "python3")
    return parser


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def median(values):
    return statistics.median(values)


class StartError(Exception):
    """The server did not come up; says what it logged last."""


class Process(NamedTuple):
    """What /proc/PID/stat says; proc_pid_stat(5)."""

    pid: int
    name: str
    state: str
    parent: int
    threads: int
    start_ticks: int
    # Its own, and that of the children it has waited for.
    cpu_ticks: int


def read_process(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        # The name is in parentheses and may contain anything.
        head, _, tail = file.read().rpartition(")")
    fields = tail.split()
    cpu_ticks = sum(map(int, fields[11:15]))
    return Process(
        pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[17]), int(fields[19]), cpu_ticks
    )


def processes():
    """Every process of the host, by pid."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            # It may have ended meanwhile.
            with contextlib.suppress(OSError):
                found[int(entry)] = read_process(int(entry))
    return found


def descendants(roots, everything):
    """The processes with these pids and all that come from them, by pid."""
    children = {}
    for process in everything.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, unseen = {}, [pid for pid in roots if pid in everything]
    while unseen:
        pid = unseen.pop()
        if pid not in found:
            found[pid] = everything[pid]
            unseen.extend(children.get(pid, ()))
    return found


def descriptors(pid):
    """What each open descriptor of a process is, such as `socket:[1234]`."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{entry}"))
    return found


def program(pid):
    """The path of what a process executes; a newer file may have taken its place."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe").replace(" (deleted)", "")
    return ""


def held_by_pidfd(pid):
    """The pids of the living processes that a process holds pidfds of."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fdinfo"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{entry}", encoding="ascii") as file:
                found.extend(int(line.split()[1]) for line in file if line.startswith("Pid:"))
    return [held for held in found if held > 0]


def rss_bytes(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def mounts(pid):
    """The lines of a process's mountinfo, without the ids, which are used again."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        return [line.split(" ", 2)[2].strip() for line in file]
    return []


def namespaces(some):
    """The namespaces that these processes are in or hold open, such as `net:[4026531840]`, each with one of them."""
    kinds = os.listdir("/proc/self/ns")
    found = {}
    for process in some:
        holder = f"process {process.pid} ({process.name})"
        for kind in kinds:
            with contextlib.suppress(OSError):
                found.setdefault(os.readlink(f"/proc/{process.pid}/ns/{kind}"), holder)
        for target in descriptors(process.pid):
            if target.partition(":[")[0] in kinds:
                found.setdefault(target, holder)
    return found


def cgroups():
    """The cgroups of every eggbox on this host, in every hierarchy, those within them too."""
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "/eggbox" in folder]


def eggbox_names(some):
    """What the cgroups of an eggbox are called that these processes are in."""
    found = set()
    for process in some:
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/cgroup", encoding="utf-8") as file:
            found.update(name for line in file for name in line.strip().split("/") if name.startswith("eggbox"))
    return found


def send_signal(process, number):
    """Signals that very process, or nobody; returns whether it was there."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if read_process(process.pid).start_ticks != process.start_ticks:
            return False
        signal.pidfd_send_signal(pidfd, number)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)


class Server:
    """An `eggbox serve` that can be started again, and every process that it has brought into the world."""

    def __init__(self, options, folder, *flags, listen="127.0.0.1:0", log=None):
        # An option given twice is refused, so the grace is fixed: nothing that runs at the end is worth waiting for.
        self.state_dir = f"{folder}/state"
        self.command = [options.eggbox, "serve", "--listen", listen, "--state-dir", self.state_dir]
        self.command += ["--python", options.python, "--shutdown-grace-seconds", "1", *flags]
        self.log = log or f"{folder}/log"
        self.child = None
        # What it runs, as the kernel knows it.
        self.program = None
        self.address = None
        # Start ticks by pid, of all that was ever seen of them and still lives: what is orphaned is not lost sight of.
        self.kin = {}

    def start(self):
        self.spawn()
        self.wait_until_up()

    def spawn(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EGGBOX_")}
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment
            )
        self.kin[self.child.pid] = read_process(self.child.pid).start_ticks
        self.program = program(self.child.pid)

    def wait_until_up(self):
        ready, _, _ = select.select([self.child.stdout], [], [], START_SECONDS_MAX)
        line = self.child.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on http://"):
            self.child.kill()
            self.child.wait()
            raise StartError(f"`{' '.join(self.command)}` did not start:\n{self.last_logged()}")
        host, _, port = line.strip().rpartition("/")[2].rpartition(":")
        self.address = (host, int(port))

    def last_logged(self, lines=5):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:]).rstrip()

    def tree(self, everything=None):
        """Its processes by pid, zombies too: itself, its nests, their sessions, and all that those started."""
        everything = everything or processes()
        pid = self.child.pid
        near = held_by_pidfd(pid) + [process.pid for process in everything.values() if process.parent == pid]
        for known in near:
            if known in everything:
                self.kin[known] = everything[known].start_ticks
        alive = {pid: everything[pid].start_ticks for pid in self.kin if pid in everything}
        self.kin = {pid: ticks for pid, ticks in alive.items() if self.kin[pid] == ticks}
        found = descendants(self.kin, everything)
        self.kin = {pid: process.start_ticks for pid, process in found.items()}
        return found

    def beside(self, tree):
        """The processes of a tree that stand beside the server, under none of their own kind."""
        within = set(tree) - {self.child.pid}
        return [tree[pid] for pid in self.kin if pid in within and tree[pid].parent not in within]

    def nests(self, tree):
        """The processes of a tree that sessions are forked from: interpreters, and no longer our binary."""
        return [process for process in self.beside(tree) if program(process.pid) != self.program]

    def keepers(self, tree):
        """The processes of a tree that hold on to sessions while there is no server."""
        return [process for process in self.beside(tree) if program(process.pid) == self.program]

    def sessions(self, tree):
        """The processes of a tree that are forked from a nest."""
        nests = {nest.pid for nest in self.nests(tree)}
        return [process for process in tree.values() if process.parent in nests and process.state != "Z"]

    def stop(self):
        """Ends it, and then what it left behind, which is returned; by rights that is nothing."""
        if self.child is None:
            return []
        self.tree()
        self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        end = time.monotonic() + LEAVE_SECONDS_MAX
        while True:
            left = [process for process in self.tree().values() if process.state != "Z"]
            if not left or time.monotonic() > end:
                break
            time.sleep(0.05)
        for process in left:
            send_signal(process, signal.SIGKILL)
        self.child.stdout.close()
        return left


@contextlib.contextmanager
def serving(options, *flags, listen="127.0.0.1:0", log=None):
    """A server that runs with these flags, until the end of the block; its log is kept only where it is named."""
    # So that what is started is ended too when somebody ends this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="eggbox-bench-") as folder:
        # A session's user passes through it under `--isolation reduced`.
        os.chmod(folder, 0o711)
        server = Server(options, folder, *flags, listen=listen, log=log)
        try:
            server.start()
            yield server
        except StartError as error:
            sys.exit(str(error))
        finally:
            server.stop()


class Answer(NamedTuple):
    status: int
    # What the JSON object has; empty where it is none.
    fields: dict

    @property
    def stdout(self):
        return self.fields.get("stdout", "")

    @property
    def stderr(self):
        return self.fields.get("stderr", "")

    @property
    def error(self):
        return self.fields.get("error", "")


class Client:
    """One kept connection, made when it is first needed and again after it has broken."""

    def __init__(self, address, timeout_seconds=60):
        self.address = address
        self.timeout_seconds = timeout_seconds
        self.socket = None
        self.received = bytearray()

    def connect(self):
        """Makes sure that there is a connection, as far as one can know. A failure here has sent nothing."""
        if self.socket and select.select([self.socket], [], [], 0)[0]:
            # Nothing is due, so this is its end.
            self.close()
        if not self.socket:
            self.socket = socket.create_connection(self.address, self.timeout_seconds)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.received = None, bytearray()

    def send(self, data):
        self.connect()
        self.socket.sendall(data)

    def request(self, method, path, body=b""):
        """The status and the body of the answer; any OSError means that there is none."""
        self.connect()
        try:
            self.socket.sendall(request_bytes(self.address, method, path, body))
            return self.read_answer()
        except OSError:
            self.close()
            raise

    def execute(self, code, session=None):
        status, body = self.request("POST", "/execute", execute_body(code, session))
        with contextlib.suppress(ValueError):
            fields = json.loads(body)
            if isinstance(fields, dict):
                return Answer(status, fields)
        return Answer(status, {})

    def read_answer(self):
        while b"\r\n\r\n" not in self.received:
            self.receive()
        lines = self.take(self.received.index(b"\r\n\r\n") + 4).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        while len(self.received) < length:
            self.receive()
        body = self.take(length)
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ", 2)[1]), body

    def take(self, count):
        taken = bytes(self.received[:count])
        del self.received[:count]
        return taken

    def receive(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError("the server closed the connection before its answer")
        self.received += data


def request_bytes(address, method, path, body=b""):
    head = f"{method} {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def execute_body(code, session=None):
    return json.dumps({"code": code, "id": session} if session else {"code": code}).encode()
