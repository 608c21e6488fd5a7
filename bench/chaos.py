#!/usr/bin/env python3
"""Whether sessions survive what happens to their server: nothing that was acknowledged may be lost in silence.

    bench/chaos.py [--eggbox target/release/eggbox] [--python PYTHON] [--seconds 60] [--seed 1] [--sessions 12]
                   [--pause-seconds-max 1] [--log FILE]

Every session is a counter, driven by a client of its own. Meanwhile, at random moments that the seed decides, the
server is killed (SIGKILL), told to hand over and exit (SIGHUP), sometimes killed again while it starts, and started
again with the same state directory, options and port; and single sessions are killed.

What must hold, seen from each client: a counter that answers n+1 after n was acknowledged has lost nothing. An
execution whose answer was lost with its connection may have counted or not. A session that was killed must say
"session state lost", once, and then counts from 1; that word may itself have gone down with a connection. A session
that nobody killed must not say so, and a killed one must not count from 1 in silence. Whatever else is answered is
wrong, and so is a server that does not come up, does not end when told to hand over, or leaves processes behind at
the end. Prints the counts; exits with status 1 when something was wrong. Blows that follow each other faster than the
default (`--pause-seconds-max 0.15`) meet servers that have only just taken over.
"""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import harness

RETRY_SECONDS = 0.02
PAUSE_SECONDS_MAX = 0.05
# How long an execution sleeps at most, so that some are always under way.
NAP_SECONDS_MAX = 0.03
HAND_OVER_SECONDS_MAX = 20
# Of what was wrong.
SHOWN_MAX = 20
# How long every counter has to answer once the blows are over.
FINAL_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 30

BLOWS = {"kill a session": 5, "kill the server": 3, "hand over": 2}
# How often a session is killed while there is no server, and a server before it is up.
KILLED_WHILE_DOWN, KILLED_WHILE_STARTING = 0.2, 0.2

# The name makes the process known to whoever may look at it from outside: PR_SET_NAME of prctl(2).
COUNT = """import time
if "n" not in globals():
    import ctypes
    ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)
time.sleep({before})
n = globals().get("n", 0) + 1
time.sleep({after})
print(n)
"""


class Counter(threading.Thread):
    """A session, its client, and what the client knows of the count."""

    def __init__(self, address, number, seed):
        super().__init__(daemon=True)
        self.client = harness.Client(address, ANSWER_SECONDS_MAX)
        self.session = f"counter-{number}"
        # Of at most 15 bytes, as the kernel cuts it.
        self.name = f"chaos-{number}"
        self.dice = random.Random(f"{seed} {number}")
        self.ending = threading.Event()
        # The count is at least what was acknowledged, and at most so many more as answers were lost since.
        self.count = 0
        self.unanswered = 0
        # Set by who kills it, before.
        self.kills = 0
        self.losses = 0
        self.told = 0
        self.told_in_lost_answer = 0
        self.acknowledged = 0
        self.lost_answers = 0
        self.unavailable = 0
        # Of these, those since then; they must not have used up the word of a loss.
        self.refusals = 0
        self.wrong = []

    def run(self):
        while not self.ending.is_set():
            if not self.step(NAP_SECONDS_MAX):
                time.sleep(RETRY_SECONDS)
            time.sleep(self.dice.uniform(0, PAUSE_SECONDS_MAX))

    def step(self, nap_seconds_max):
        """Counts once; returns whether that was answered, by whatever."""
        naps = [f"{self.dice.uniform(0, nap_seconds_max):.4f}" for _ in range(2)]
        code = COUNT.format(name=self.name, before=naps[0], after=naps[1])
        try:
            self.client.connect()
        except OSError:
            return False
        try:
            answer = self.client.execute(code, self.session)
        except socket.timeout:
            self.unanswered += 1
            self.be_wrong(f"no answer in {ANSWER_SECONDS_MAX} s")
            return False
        except OSError:
            self.unanswered += 1
            self.lost_answers += 1
            return False
        if answer.status == 503:
            self.unavailable += 1
            self.refusals += 1
            return False
        self.judge(answer)
        return True

    def judge(self, answer):
        if answer.status == 200 and "session state lost" in answer.error:
            self.told += 1
            self.lose(answer)
        elif answer.status != 200 or answer.error or answer.stderr or not answer.stdout.strip().isdigit():
            self.be_wrong(f"an answer of another kind: {answer}")
        else:
            self.acknowledge(int(answer.stdout))

    def acknowledge(self, n):
        # Where the session was killed and an answer was lost, the word of it may have been in that.
        may_be_untold = self.kills > self.losses and self.unanswered > 0
        if self.count < n <= self.count + self.unanswered + 1:
            self.acknowledged += 1
        elif may_be_untold and 1 <= n <= self.unanswered:
            self.losses += 1
            self.told_in_lost_answer += 1
            self.acknowledged += 1
        else:
            self.be_wrong(f"counts {n}")
        self.count, self.unanswered, self.refusals = n, 0, 0

    def lose(self, answer):
        if self.kills > self.losses:
            self.losses += 1
        # What the server's end may have cut short is the making of the session, before it had anything to lose.
        elif self.count > 0 or self.unanswered == 0:
            self.be_wrong(f"lost though nobody killed it, or told twice: {json.dumps(answer.fields)}")
        self.count, self.unanswered, self.refusals = 0, 0, 0

    def be_wrong(self, what):
        known = f"acknowledged up to {self.count}, {self.unanswered} answers lost since, {self.refusals} refusals since"
        known = f"{self.session}, {self.kills} kills, {self.losses} losses, {known}"
        self.wrong.append((time.monotonic(), f"{known}: {what}"))


class Blows:
    """What happens to the server and its sessions."""

    def __init__(self, server, counters, seed, pause_seconds_max):
        self.server = server
        self.pause_seconds_max = pause_seconds_max
        self.counters = {counter.name: counter for counter in counters}
        self.dice = random.Random(seed)
        self.killed = set()
        # What was done when.
        self.history = []
        self.counts = dict.fromkeys([*BLOWS, "kill while starting"], 0)
        # What was wrong when.
        self.wrong = []

    def note(self, what):
        self.history.append((time.monotonic(), what))

    def pause(self):
        time.sleep(self.dice.uniform(self.pause_seconds_max / 10, self.pause_seconds_max))

    def strike(self):
        blow = self.dice.choices(list(BLOWS), list(BLOWS.values()))[0]
        if blow == "kill a session":
            self.kill_session()
            return
        # So that every nest is known before its server is gone.
        self.server.tree()
        self.note(blow)
        self.counts[blow] += 1
        if blow == "kill the server":
            self.server.child.kill()
            self.server.child.wait()
        else:
            self.hand_over()
        time.sleep(self.dice.uniform(0, self.pause_seconds_max / 2))
        if self.dice.random() < KILLED_WHILE_DOWN:
            self.kill_session()
        if self.dice.random() < KILLED_WHILE_STARTING:
            self.server.spawn()
            time.sleep(self.dice.uniform(0, self.pause_seconds_max / 2))
            self.server.tree()
            self.note("kill while starting")
            self.counts["kill while starting"] += 1
            self.server.child.kill()
            self.server.child.wait()
        self.server.start()
        self.note("up again")

    def hand_over(self):
        self.server.child.send_signal(signal.SIGHUP)
        try:
            self.server.child.wait(HAND_OVER_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.wrong.append((time.monotonic(), f"the server did not end within {HAND_OVER_SECONDS_MAX} s of SIGHUP"))
            self.server.child.kill()
            self.server.child.wait()

    def kill_session(self):
        """Kills pid 1 of one that counts. One that does not count yet has no name, and would not know that it lost."""
        living = [process for process in self.server.sessions(self.server.tree()) if process.name in self.counters]
        living = [process for process in living if (process.pid, process.start_ticks) not in self.killed]
        if not living:
            return
        # Sorted, so that the choice does not hang on pids.
        process = self.dice.choice(sorted(living, key=lambda process: process.name))
        self.killed.add((process.pid, process.start_ticks))
        self.counters[process.name].kills += 1
        self.note(f"kill {process.name}")
        if harness.send_signal(process, signal.SIGKILL):
            self.counts["kill a session"] += 1
        else:
            self.counters[process.name].kills -= 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finish(counters):
    """Stops the load and lets every counter say where it is; one that does not answer is wrong."""
    for counter in counters:
        counter.ending.set()
    for counter in counters:
        counter.join()
    end = time.monotonic() + FINAL_SECONDS_MAX
    for counter in counters:
        # A loss is told first, and the count comes after.
        answers = 0
        while answers < 2 and time.monotonic() < end:
            answers += counter.step(0)
            time.sleep(0 if answers else RETRY_SECONDS)
        if answers < 2:
            counter.be_wrong("did not answer at the end")


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--pause-seconds-max", type=float, default=1, help="between two blows")
    parser.add_argument("--log", help="where the servers log to, to be kept")
    options = parser.parse_args()
    with harness.serving(options, listen=f"127.0.0.1:{free_port()}", log=options.log) as server:
        start = time.monotonic()
        counters = [Counter(server.address, number, options.seed) for number in range(options.sessions)]
        for counter in counters:
            counter.start()
        blows = Blows(server, counters, options.seed, options.pause_seconds_max)
        try:
            while time.monotonic() < start + options.seconds:
                blows.pause()
                blows.strike()
            finish(counters)
        except harness.StartError as error:
            blows.wrong.append((time.monotonic(), str(error)))
        left = server.stop()

    wrong = blows.wrong + [what for counter in counters for what in counter.wrong]
    wrong += [(time.monotonic(), f"left behind by the server: {process.pid} ({process.name})") for process in left]

    def total(name):
        return sum(getattr(counter, name) for counter in counters)

    print(f"{options.sessions} sessions, {options.seconds:g} s, seed {options.seed}")
    rows = {
        "acknowledged": total("acknowledged"),
        "answers lost with a connection": total("lost_answers"),
        "told to come again (503)": total("unavailable"),
        "server kills": blows.counts["kill the server"],
        "server kills while starting": blows.counts["kill while starting"],
        "hand-overs": blows.counts["hand over"],
        "session kills": blows.counts["kill a session"],
        "told losses": total("told"),
        "losses told in a lost answer": total("told_in_lost_answer"),
        "wrong": len(wrong),
    }
    for name, count in rows.items():
        print(f"{name:32}{count:8}")
    for when, what in sorted(wrong)[:SHOWN_MAX]:
        before = [f"{blow} {when - at:.2f} s ago" for at, blow in blows.history if at < when]
        print(f"    at {when - start:.2f} s ({', '.join(before[-4:])}): {what[:600]}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
