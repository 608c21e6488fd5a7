#!/usr/bin/env python3
"""The server that many start with: Flask, and one `python3 -i` per session that code goes down to by a pipe.

A yardstick of `bench/load`, which starts it; not a sandbox of any kind. Speaks `POST /execute` as eggbox does. Each piece
of code becomes one line, whose answer ends with a marker on each stream. Prints where it listens, and ends with its stdin.
"""

import os
import subprocess
import sys
import threading
import uuid

from flask import Flask, jsonify, request
from werkzeug.serving import make_server

# No prompts; the rest is what an interactive interpreter does.
QUIET = "import sys; sys.ps1 = sys.ps2 = ''"

app = Flask(__name__)
sessions = {}
sessions_lock = threading.Lock()


class Session:
    def __init__(self):
        self.lock = threading.Lock()
        self.interpreter = subprocess.Popen(
            [sys.executable, "-u", "-q", "-i", "-c", QUIET],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def execute(self, code):
        marker = uuid.uuid4().hex
        show = "; ".join(f"print({marker!r}, file=sys.{stream})" for stream in ("stdout", "stderr"))
        with self.lock:
            self.interpreter.stdin.write(f"exec(compile({code!r}, '<code>', 'exec'))\n{show}\n")
            self.interpreter.stdin.flush()
            # One after the other: who prints more to stderr than a pipe holds waits for ever. It is that simple a server.
            return [read_up_to(marker, stream) for stream in (self.interpreter.stdout, self.interpreter.stderr)]


def read_up_to(marker, stream):
    lines = []
    for line in stream:
        before, found, _ = line.partition(marker)
        lines.append(before)
        if found:
            break
    return "".join(lines)


@app.post("/execute")
def execute():
    asked = request.get_json()
    name = asked.get("id") or str(uuid.uuid4())
    with sessions_lock:
        session = sessions.get(name)
        if session is None:
            session = sessions[name] = Session()
    stdout, stderr = session.execute(asked["code"])
    said = {"id": name, "stdout": stdout, "stderr": stderr}
    return jsonify({key: value for key, value in said.items() if value})


@app.delete("/sessions/<name>")
def end(name):
    with sessions_lock:
        session = sessions.pop(name)
    session.interpreter.kill()
    session.interpreter.communicate()
    return "", 204


def end_with_stdin():
    sys.stdin.read()
    for session in sessions.values():
        session.interpreter.kill()
    os._exit(0)


def main():
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
