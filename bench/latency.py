#!/usr/bin/env python3
"""How long an answer takes: a new session, a live one, and three things to compare them with, in one run.

    bench/latency.py [--eggbox target/release/eggbox] [--python PYTHON] [--rounds 200]

Starts a server of its own on a free port with the given interpreter and drives it over loopback from this process,
one request at a time on one connection. Rounds are interleaved, so that a noisy moment hits every row alike. Prints
p50 and p99 in milliseconds and each row's ratio to the server's own no-op route. Judges nothing.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def start_server(eggbox, python, state_dir):
    command = [eggbox, "serve", "--listen", "127.0.0.1:0", "--state-dir", state_dir, "--python", python]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = server.stdout.readline()
    if not line.startswith("listening on http://"):
        server.kill()
        sys.exit(f"{eggbox} did not start; run `{' '.join(command)}` to see why")
    return server, line.rpartition("/")[2].strip()


def execute(connection, code, session=None):
    body = json.dumps({"code": code, "id": session} if session else {"code": code})
    connection.request("POST", "/execute", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    if answer.get("stdout") != "2\n":
        sys.exit(f"a wrong answer: {answer}")
    return answer["id"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eggbox", default="target/release/eggbox")
    parser.add_argument("--python", default=".venv/bin/python3" if os.path.exists(".venv/bin/python3") else "python3")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    code = "print(1 + 1)"
    with tempfile.TemporaryDirectory() as state_dir:
        server, address = start_server(options.eggbox, options.python, state_dir)
        try:
            connection = http.client.HTTPConnection(address)

            def no_op():
                connection.request("GET", "/health")
                connection.getresponse().read()

            def interpreter():
                subprocess.run([options.python, "-c", code], stdout=subprocess.DEVNULL, check=True)

            execute(connection, code, "live")
            rows = {
                "no-op route (GET /health)": no_op,
                "live session": lambda: execute(connection, code, "live"),
                "new session": lambda: execute(connection, code),
                "python3 -c (no imports)": interpreter,
            }
            times = {name: [] for name in rows}
            for _ in range(options.rounds):
                for name, measured in rows.items():
                    start = time.perf_counter()
                    measured()
                    times[name].append((time.perf_counter() - start) * 1e3)
        finally:
            server.terminate()
            server.wait()
    base = statistics.median(times["no-op route (GET /health)"])
    print(f"{options.python}, {options.rounds} rounds, client and server on the same {os.cpu_count()} CPUs")
    print(f"{'':28}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}")
    for name, taken in times.items():
        ordered = sorted(taken)
        p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        print(f"{name:28}{p50:9.2f}{p99:9.2f}{p50 / base:8.1f}")


if __name__ == "__main__":
    main()
