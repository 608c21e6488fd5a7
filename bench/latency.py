#!/usr/bin/env python3
"""How long an answer takes: a new session, a live one, and three things to compare them with, in one run.

    bench/latency.py [--eggbox target/release/eggbox] [--python PYTHON] [--rounds 200]

Starts a server of its own on a free port with the given interpreter and drives it over loopback from this process,
one request at a time on one connection. Rounds are interleaved, so that a noisy moment hits every row alike. Prints
p50 and p99 in milliseconds and each row's ratio to the server's own no-op route. Judges nothing.
"""

import os
import subprocess
import sys
import time

import harness

CODE = "print(1 + 1)"


def execute(client, session=None):
    answer = client.execute(CODE, session)
    if answer.stdout != "2\n":
        sys.exit(f"a wrong answer: {answer}")


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with harness.serving(options) as server:
        client = harness.Client(server.address)

        def interpreter():
            subprocess.run([options.python, "-c", CODE], stdout=subprocess.DEVNULL, check=True)

        execute(client, "live")
        rows = {
            "no-op route (GET /health)": lambda: client.request("GET", "/health"),
            "live session": lambda: execute(client, "live"),
            "new session": lambda: execute(client),
            "python3 -c (no imports)": interpreter,
        }
        times = {name: [] for name in rows}
        for _ in range(options.rounds):
            for name, measured in rows.items():
                start = time.perf_counter()
                measured()
                times[name].append((time.perf_counter() - start) * 1e3)
    base = harness.median(times["no-op route (GET /health)"])
    print(f"{options.python}, {options.rounds} rounds, client and server on the same {os.cpu_count()} CPUs")
    print(f"{'':28}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}")
    for name, taken in times.items():
        p50, p99 = harness.median(taken), harness.percentile(taken, 99)
        print(f"{name:28}{p50:9.2f}{p99:9.2f}{p50 / base:8.1f}")


if __name__ == "__main__":
    main()
