"""Where the time of an execution and of a new session goes, and what of it is the kernel's: the floor of each.

Prints a table: CPU time of every process on the way, context switches and page faults for each request, what a page
fault and a wake-up cost on this machine, and what a session has written to. docs/benchmarks/floors.md has its numbers.
"""

import mmap
import os
import time

import harness

GROUPBY = "import pandas as pd; pd.DataFrame({'k': [1, 2, 1], 'v': [1, 2, 3]}).groupby('k').v.sum()"
PAGE = mmap.PAGESIZE


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=60)
    options = parser.parse_args()
    rows = [*machine()]
    with harness.serving(options) as server:
        rows += warm(server, options.rounds)
        rows += first_executions(server, options.sessions, "print(1)", "pool full, print(1)")
        rows += first_executions(server, options.sessions // 3, GROUPBY, "pool full, a groupby")
        rows += lives(server, options.sessions * 5)
    with harness.serving(options, "--parked-sessions-max", "0") as server:
        rows += first_executions(server, options.sessions, "print(1)", "pool empty, print(1)")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")


def machine():
    """What the kernel takes for one of each."""
    yield "a page that is touched for the first time, us", f"{touching():.2f}"
    yield "a page of a parent's that a fork writes to, us", f"{copying():.2f}"
    yield "a round trip between two processes by two pipes, us", f"{waking():.1f}"


def touching(pages=20_000):
    memory = mmap.mmap(-1, pages * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return timed(memory, pages)


def copying(pages=20_000):
    memory = mmap.mmap(-1, pages * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    timed(memory, pages)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, str(timed(memory, pages)).encode())
        os._exit(0)
    result = float(os.read(reading, 100))
    os.wait()
    return result


def timed(memory, pages):
    """Microseconds to write to each of them; what the loop itself takes is measured by a second round."""
    spans = []
    for _ in range(2):
        began = time.perf_counter()
        for page in range(0, pages * PAGE, PAGE):
            memory[page] = 1
        spans.append(time.perf_counter() - began)
    return (spans[0] - spans[1]) / pages * 1e6


def waking(rounds=5000):
    (their_end, our_end), (answer, their_answer) = os.pipe(), os.pipe()
    if os.fork() == 0:
        while os.read(their_end, 1) == b"x":
            os.write(their_answer, b"x")
        os._exit(0)
    began = time.perf_counter()
    for _ in range(rounds):
        os.write(our_end, b"x")
        os.read(answer, 1)
    span = time.perf_counter() - began
    os.write(our_end, b".")
    os.wait()
    return span / rounds * 1e6


def warm(server, rounds):
    """An execution in a session that has run many."""
    client = harness.Client(server.address)
    client.execute("import os; x = 5", "warm")
    for _ in range(300):
        client.execute("print(x)", "warm")
    own = time.process_time()
    before = snapshot(server)
    spans = []
    for _ in range(rounds):
        began = time.perf_counter()
        answer = client.execute("print(x)", "warm")
        spans.append(time.perf_counter() - began)
        assert answer.stdout == "5\n", answer
    after = snapshot(server)
    yield "print(x), live session: ms, p50 / p99", spread(spans)
    yield "- CPU of this client, us", f"{(time.process_time() - own) / rounds * 1e6:.0f}"
    for name, pids in sorted(by_name(server).items()):
        cpu = sum(after[pid][0] - before[pid][0] for pid in pids if pid in before and pid in after)
        switches = sum(after[pid][1] - before[pid][1] for pid in pids if pid in before and pid in after)
        if cpu / rounds > 1000:
            yield f"- CPU of {name}, us", f"{cpu / rounds / 1000:.0f} and {switches / rounds:.1f} context switches"


def first_executions(server, sessions, code, title):
    """The first execution of sessions, one at a time."""
    client = harness.Client(server.address)
    spans, faults, written = [], [], []
    for number in range(sessions):
        time.sleep(0.08)
        # So that nobody has to be woken first.
        client.request("GET", "/health")
        began = time.perf_counter()
        answer = client.execute(code, f"timed-{number}")
        spans.append(time.perf_counter() - began)
        assert not answer.error and not answer.stderr, answer
        client.request("DELETE", f"/v1/sessions/timed-{number}")
    # Looking at processes has caches forget: not while time is measured.
    for number in range(sessions // 3):
        known = {pid: faults_of(pid) for pid in by_name(server)["session"]}
        client.execute(code, f"looked-at-{number}")
        sessions_now = by_name(server)["session"]
        # One that was made ahead was there before; those that are made now are for others.
        ours = max(known.keys() & set(sessions_now) or sessions_now, key=lambda pid: faults_of(pid) - known.get(pid, 0))
        faults.append(faults_of(ours) - known.get(ours, 0))
        written.append(private_dirty(ours) * 1024 // PAGE)
        mappings = sum(1 for _ in open(f"/proc/{ours}/maps"))
        client.request("DELETE", f"/v1/sessions/looked-at-{number}")
    yield f"new session, {title}: ms, p50 / p99", spread(spans)
    yield "- page faults of the session meanwhile, p50", f"{harness.median(faults):.0f}"
    yield "- pages of its own that it has written to, p50", f"{harness.median(written):.0f}"
    yield "- mappings", f"{mappings}"


def lives(server, sessions):
    """New sessions one after another, each run once and ended: what the whole machine works for them."""
    client = harness.Client(server.address)
    own, before = time.process_time(), busy_seconds()
    for number in range(sessions):
        client.execute("print(1 + 1)", f"life-{number}")
        client.request("DELETE", f"/v1/sessions/life-{number}")
    # What is cleared away comes after the answer.
    time.sleep(0.5)
    spent = busy_seconds() - before - (time.process_time() - own)
    yield "create, run, end: ms of CPU of all but this client", f"{spent / sessions * 1e3:.2f}"


def busy_seconds():
    """CPU time of everything on the machine; proc_stat(5)."""
    user, nice, system, _, _, *rest = (int(field) for field in open("/proc/stat").readline().split()[1:])
    return (user + nice + system + sum(rest[:3])) / harness.TICKS_PER_SECOND


def by_name(server):
    tree = server.tree()
    names = {"server": [server.child.pid], "session": [], "nest": [], "keeper": []}
    names["session"] = [process.pid for process in server.sessions(tree)]
    names["nest"] = [process.pid for process in server.nests(tree)]
    names["keeper"] = [process.pid for process in server.keepers(tree)]
    return names


def snapshot(server):
    """CPU time in ns and context switches of every process, all threads together."""
    found = {}
    for pids in by_name(server).values():
        for pid in pids:
            try:
                found[pid] = (cpu_nanos(pid), switches(pid))
            except OSError:
                pass
    return found


def cpu_nanos(pid):
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) for task in tasks)


def switches(pid):
    count = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in open(f"/proc/{pid}/task/{task}/status"):
            if "ctxt_switches" in line:
                count += int(line.split()[1])
    return count


def faults_of(pid):
    try:
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[7]) + int(fields[9])


def private_dirty(pid):
    """KiB."""
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))


def spread(spans):
    return f"{harness.median(spans) * 1e3:.3f} / {harness.percentile(spans, 99) * 1e3:.3f}"


if __name__ == "__main__":
    main()
