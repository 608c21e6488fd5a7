#!/usr/bin/env python3
"""What is left of very many sessions that ended in every way there is; by rights nothing.

    bench/soak.py [--eggbox target/release/eggbox] [--python PYTHON] [--sessions 20000] [--parallel 8] [--seed 1]

Starts a server of its own with small limits and makes, uses and ends that many sessions, in a random mix that the seed
decides: exit, idleness, out of memory, timeouts with and without a kill, segmentation faults, clients that leave in
the middle, fork bombs, daemons. Four more sessions count through all of it. Before and after, with nothing but those
four alive, it compares what server, nest, keeper and host hold: processes, descriptors, threads, memory, mounts,
cgroups, namespaces. A few hundred sessions come before the first look, and once as many at a time as may be: threads,
heaps and pools grow to their working size.

Exits with status 1 when something grew beyond its tolerance, a counter is wrong, an answer was not of the expected
kind (timeouts of a busy machine are counted apart, up to 1 in 100), or a process outlived the server. What is new is
named. The whole host's namespaces are judged only while no other eggbox is about; of its cgroups, those
where one of the server's processes has been seen, and those beside them. There is no route yet to delete a session:
exit stands in for it. Where nothing limits processes a fork bomb stops by itself.
"""

import collections
import contextlib
import itertools
import os
import random
import subprocess
import sys
import threading
import time

import endings
import harness
from endings import died, is_kept_timeout, prints, says

WALL_SECONDS_MAX = 0.3
INTERRUPT_GRACE_SECONDS = 0.2
IDLE_SECONDS_MAX = 1
SESSIONS_MAX = 64

KEEPERS = 4
KEEPER_PAUSE_SECONDS = 0.2
# How long after the last use an idle session is asked for, to hear that it has ended.
IDLE_CERTAIN_SECONDS = IDLE_SECONDS_MAX + 2
# Nothing changes for so long before a look; tokio keeps an unused thread for 10 s.
QUIET_SECONDS = 3
SETTLE_SECONDS_MIN, SETTLE_SECONDS_MAX = 11, 40
# The wall time is short: so many in a hundred sessions may meet it because the machine is busy with other things.
LATE_PERCENT_MAX = 1
# A session that finds no room is tried again as often, so many seconds apart.
ROOM_TRIES, ROOM_PAUSE_SECONDS = 200, 0.1
PROGRESS_SECONDS = 5
FILL_TRIES = 10

MIB = 1 << 20
# How far each may grow; where that is not judged, others may be the cause. The server remembers up to 16,384 ends that
# nobody has asked about, in a few MiB.
TOLERANCES = {
    "processes": 0,
    "zombies": 0,
    "server: descriptors": 0,
    "server: threads": 1,
    "server: RSS MiB": 8,
    "nest: processes": 0,
    "nest: descriptors": 0,
    "nest: RSS MiB": 4,
    "nest: mounts": 0,
    "keeper: descriptors": 0,
    "keeper: RSS MiB": 4,
    "host: mounts": 0,
    # The server has 16 numbers for sessions to spare; groups are made at the first use of a number.
    "cgroups": 16 * 4,
    "host: cgroups eggbox*": None,
    "namespaces": 0,
    "host: namespaces": 0,
    "files in the state directory": 0,
}


class Tally:
    """What has happened so far, from all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.done = collections.Counter()
        self.unexpected = collections.Counter()
        self.examples = {}
        self.waits_for_room = 0
        self.late = collections.Counter()

    def count(self, way):
        with self.lock:
            self.done[way] += 1

    def expect(self, what, is_expected, answer):
        """Judges an answer; returns whether it was as expected."""
        if is_expected(answer):
            return True
        if says("execution timeout")(answer):
            with self.lock:
                self.late[what] += 1
        else:
            self.wrong(what, answer)
        return False

    def wrong(self, what, example):
        with self.lock:
            self.unexpected[what] += 1
            self.examples.setdefault(what, example)


class Soak:
    """Sessions by the number, each ended in one of the ways."""

    def __init__(self, address, ways, seed, tally):
        self.address = address
        self.ways = ways
        self.dice = random.Random(seed)
        self.tally = tally
        self.numbers = itertools.count()
        # When to ask for which idle session.
        self.idle = collections.deque()

    def run(self, count, parallel, report=lambda begun: None):
        """Ends `count` sessions, as many at a time as `parallel`."""
        # All are decided ahead: which thread takes which is up to the machine, what there is to take is not.
        ahead = endings.plans(self.ways, count, self.dice)
        threads = [threading.Thread(target=self.work, args=(ahead,), daemon=True) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)
                report(count - len(ahead))

    def fill(self):
        """Has as many sessions as may be at once: what belongs to a number of theirs is made at its first use."""
        refused = threading.Event()

        def use():
            client = harness.Client(self.address)
            with contextlib.suppress(OSError):
                if client.execute("import time; time.sleep(.2)").status == 503:
                    refused.set()
            client.close()

        for _ in range(FILL_TRIES):
            threads = [threading.Thread(target=use, daemon=True) for _ in range(SESSIONS_MAX + 8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if refused.is_set():
                time.sleep(IDLE_CERTAIN_SECONDS)
                return
        self.tally.wrong("all sessions at once", f"no refusal in {FILL_TRIES} tries")

    def work(self, ahead):
        client = harness.Client(self.address)
        # Another thread may take the last one.
        with contextlib.suppress(IndexError):
            while True:
                plan = ahead.popleft()
                self.tally.count(plan.way)
                try:
                    self.end_one(client, plan)
                    self.ask_for_idle(client)
                except OSError as error:
                    self.tally.wrong(f"no answer, at or after {plan.way}", repr(error))
        client.close()

    def execute(self, client, code, session):
        for _ in range(ROOM_TRIES):
            answer = client.execute(code, session)
            if answer.status != 503:
                break
            with self.tally.lock:
                self.tally.waits_for_room += 1
            time.sleep(ROOM_PAUSE_SECONDS)
        return answer

    def end_one(self, client, plan):
        """Makes a session, ends it, and looks at what became of it."""
        way = self.ways[plan.way]
        # The number is not handed out twice: CPython takes it in one step.
        made = self.execute(client, endings.USE, f"soak-{next(self.numbers)}" if plan.is_named else None)
        if not self.tally.expect("new session", prints(""), made):
            return
        session = made.fields["id"]
        if way.expects:
            if not self.tally.expect(plan.way, way.expects, self.execute(client, way.code, session)):
                return
        else:
            body = harness.execute_body(way.code, session)
            request = harness.request_bytes(self.address, "POST", "/execute", body)
            self.leave(request[:-1] if plan.way == "client leaves half a request" else request)
        if "deleted" in plan.way:
            status, _ = client.request("DELETE", f"/v1/sessions/{session}")
            self.tally.expect(plan.way, is_deleted, harness.Answer(status, {}))
        if plan.way == "daemon, then exit":
            self.tally.expect(plan.way, died("exited with status 0"), self.execute(client, "os._exit(0)", session))
        elif way.lives_on and plan.asked == "now":
            answer = self.execute(client, "print(x * 2)", session)
            self.tally.expect(f"{plan.way}: state kept", prints("10\n"), answer)
        elif way.lives_on and plan.asked == "later":
            self.idle.append((time.monotonic() + IDLE_CERTAIN_SECONDS, session))
        elif way.lives_on is False and plan.asked == "now":
            answer = self.execute(client, "import os; print('x' in globals())", session)
            self.tally.expect(f"{plan.way}: starts afresh", prints("False\n"), answer)
            self.execute(client, "os._exit(0)", session)

    def leave(self, data):
        client = harness.Client(self.address)
        client.send(data)
        time.sleep(0.02)
        client.close()

    def ask_for_idle(self, client):
        """An idle session tells the next who asks that it has ended."""
        try:
            due, session = self.idle.popleft()
        except IndexError:
            return
        if due > time.monotonic():
            self.idle.appendleft((due, session))
            return
        self.tally.expect("idle: told", died("nobody had used it"), self.execute(client, "x = 7", session))


def is_deleted(answer):
    return answer.status == 204


class Keeper(threading.Thread):
    """A session that counts and is never idle for long."""

    CODE = "n = globals().get('n', 0) + 1; print(n)"

    def __init__(self, address, number, tally):
        super().__init__(daemon=True)
        self.client = harness.Client(address)
        self.session = f"keeper-{number}"
        self.tally = tally
        self.ending = threading.Event()
        self.acknowledged = 0
        # Answered by a timeout: the wall time is short, and the machine may have been busy elsewhere.
        self.late = 0
        self.is_right = True

    def run(self):
        while not self.ending.wait(KEEPER_PAUSE_SECONDS):
            try:
                self.touch()
            except OSError as error:
                self.fail(repr(error))

    def touch(self):
        answer = self.client.execute(self.CODE, self.session)
        if is_kept_timeout(answer):
            self.late += 1
            return
        self.acknowledged += 1
        is_right = answer.status == 200 and not answer.error and answer.stdout.strip().isdigit()
        count = int(answer.stdout) if is_right else 0
        if not self.acknowledged <= count <= self.acknowledged + self.late:
            self.fail(answer)
            # So that one loss is one mistake.
            self.acknowledged, self.late = count, 0

    def fail(self, example):
        self.is_right = False
        self.tally.wrong("keeper", f"{self.session} at {self.acknowledged} (late {self.late}): {example}")


def look(server, cgroup_names):
    """What is held now: numbers, and lists of what can be named. Learns the names of the server's cgroups."""
    everything = harness.processes()
    tree = server.tree(everything)
    nests = [process.pid for process in server.nests(tree)]
    keepers = [process.pid for process in server.keepers(tree)]
    others = [pid for pid in everything if pid not in tree and "/eggbox" in harness.program(pid)]
    # Of another server's sessions, whose nest is nobody's child.
    others += [held for other in others for held in harness.held_by_pidfd(other)]
    foreign = harness.descendants(others, everything)
    pid = server.child.pid
    cgroup_names.update(harness.eggbox_names(tree.values()))
    cgroups = harness.cgroups()
    return {
        "processes": len(tree),
        "zombies": sum(process.state == "Z" for process in tree.values()),
        "server: descriptors": len(harness.descriptors(pid)),
        "server: threads": everything[pid].threads,
        "server: RSS MiB": harness.rss_bytes(pid) / MIB,
        "nest: processes": len(nests),
        "nest: descriptors": sum(len(harness.descriptors(nest)) for nest in nests),
        "nest: RSS MiB": sum(map(harness.rss_bytes, nests)) / MIB,
        "nest: mounts": [mount for nest in nests for mount in harness.mounts(nest)],
        "keeper: descriptors": sum(len(harness.descriptors(keeper)) for keeper in keepers),
        "keeper: RSS MiB": sum(map(harness.rss_bytes, keepers)) / MIB,
        "host: mounts": harness.mounts("self"),
        "cgroups": [cgroup for cgroup in cgroups if cgroup_names.intersection(cgroup.split("/"))],
        "host: cgroups eggbox*": cgroups,
        "namespaces": harness.namespaces(tree.values()),
        "host: namespaces": harness.namespaces(process for pid, process in everything.items() if pid not in foreign),
        "other eggbox processes": len(foreign),
        "files in the state directory": [name for _, _, names in os.walk(server.state_dir) for name in names],
    }


def settled(server, cgroup_names):
    """Looks when the processes have not changed for a while."""
    start = time.monotonic()
    seen, since = None, start
    while True:
        now = time.monotonic()
        pids = set(server.tree())
        if pids != seen:
            seen, since = pids, now
        waited = now - start
        if (waited > SETTLE_SECONDS_MIN and now - since > QUIET_SECONDS) or waited > SETTLE_SECONDS_MAX:
            return look(server, cgroup_names)
        time.sleep(0.2)


def compare(before, after):
    """Prints the table; returns what grew beyond its tolerance."""
    print(f"{'':30}{'before':>10}{'after':>10}{'may grow':>12}")
    grown = []
    is_alone = before["other eggbox processes"] == after["other eggbox processes"] == 0
    for what, tolerance in TOLERANCES.items():
        was, now = before[what], after[what]
        if what == "host: namespaces" and not is_alone:
            tolerance = None
        counts = [value if isinstance(value, (int, float)) else len(value) for value in (was, now)]
        shown = [f"{count:10.1f}" if isinstance(count, float) else f"{count:10}" for count in counts]
        has_grown = tolerance is not None and counts[1] > counts[0] + tolerance
        allowed = "not judged" if tolerance is None else tolerance
        print(f"{what:30}{shown[0]}{shown[1]}{allowed:>12}{'  GREW' if has_grown else ''}")
        if has_grown:
            grown.append(what)
            if not isinstance(now, (int, float)):
                show_new(was, now)
    return grown


def show_new(was, now):
    for item in [item for item in now if item not in was][:10]:
        print(f"    new: {item}{f' of {now[item]}' if isinstance(now, dict) else ''}")


def has_option(eggbox, option):
    shown = subprocess.run([eggbox, "serve", "--help"], stdout=subprocess.PIPE, check=True, text=True)
    return option in shown.stdout


class Progress:
    """Says every few seconds how far the soak is."""

    def __init__(self, server, sessions, tally, cgroup_names):
        self.server, self.sessions, self.tally, self.cgroup_names = server, sessions, tally, cgroup_names
        self.start = self.said = time.monotonic()

    def report(self, begun):
        now = time.monotonic()
        if now > self.said + PROGRESS_SECONDS:
            self.said = now
            tree = self.server.tree()
            self.cgroup_names.update(harness.eggbox_names(tree.values()))
            rate = begun / (now - self.start)
            unexpected = sum(self.tally.unexpected.values())
            said = f"{begun}/{self.sessions} sessions, {rate:.0f}/s, {len(tree)} processes"
            print(f"{said}, {unexpected} unexpected answers", file=sys.stderr)


def soak_between_looks(server, soak, options, tally):
    """Soaks; returns what was held before and after, and how many seconds it took."""
    cgroup_names = set()
    soak.run(warm_up_sessions(options), options.parallel)
    before = settled(server, cgroup_names)
    tally.done.clear()
    progress = Progress(server, options.sessions, tally, cgroup_names)
    soak.run(options.sessions, options.parallel, progress.report)
    seconds = time.monotonic() - progress.start
    return before, settled(server, cgroup_names), seconds


def warm_up_sessions(options):
    return min(max(options.sessions // 4, 60), 500)


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    flags = ["--wall-seconds-max", WALL_SECONDS_MAX, "--interrupt-grace-seconds", INTERRUPT_GRACE_SECONDS]
    flags += ["--idle-seconds-max", IDLE_SECONDS_MAX, "--sessions-max", SESSIONS_MAX]
    # As many that are made ahead after it as before it.
    flags += ["--parked-sessions-min", 4, "--parked-sessions-max", 4]
    has_memory_limit = has_option(options.eggbox, "--memory-bytes-max")
    if has_memory_limit:
        flags += ["--memory-bytes-max", endings.MEMORY_BYTES_MAX]
    tally = Tally()
    with harness.serving(options, *map(str, flags)) as server:
        soak = Soak(server.address, endings.all_ways(has_memory_limit), options.seed, tally)
        soak.fill()
        keepers = [Keeper(server.address, number, tally) for number in range(KEEPERS)]
        for keeper in keepers:
            keeper.start()
        before, after, seconds = soak_between_looks(server, soak, options, tally)
        for keeper in keepers:
            keeper.ending.set()
        for keeper in keepers:
            keeper.join()
        left = server.stop()

    print(f"{options.sessions} sessions in {seconds:.0f} s, {options.parallel} at a time, seed {options.seed};")
    print(f"{warm_up_sessions(options)} more to warm up; {'with' if has_memory_limit else 'WITHOUT'} a memory limit")
    for name, count in sorted(tally.done.items()):
        print(f"{name:30}{count:10}")
    print(f"{'waits for room (503)':30}{tally.waits_for_room:10}\n")
    grown = compare(before, after)
    print()
    counts = [f"{keeper.acknowledged}{f' ({keeper.late} late)' if keeper.late else ''}" for keeper in keepers]
    wrong = sum(not keeper.is_right for keeper in keepers)
    print(f"keepers counted {', '.join(counts)}: {f'{wrong} WRONG' if wrong else 'right'}")
    print(f"left behind by the server: {', '.join(f'{process.pid} ({process.name})' for process in left) or 'nothing'}")
    is_late = sum(tally.late.values()) * 100 > options.sessions * LATE_PERCENT_MAX
    print(f"timeouts where there should be none: {sum(tally.late.values())}{'  TOO MANY' if is_late else ''}")
    for what, count in sorted(tally.late.items()):
        print(f"    {what}: {count}")
    print(f"answers that were not expected: {sum(tally.unexpected.values())}")
    for what, count in sorted(tally.unexpected.items()):
        print(f"    {what}: {count}, such as {str(tally.examples[what])[:600]}")
    sys.exit(1 if grown or wrong or left or is_late or tally.unexpected else 0)


if __name__ == "__main__":
    main()
