#!/usr/bin/env python3
"""Draws what `bench/load` has measured: how times are distributed, and how they grow with the number of idle sessions.

    bench/plot.py FOLDER

Reads FOLDER/results.json, writes latency.svg and growth.svg beside it.
"""

import json
import os
import sys

import matplotlib

matplotlib.use("svg")
# The same numbers give the same file.
matplotlib.rcParams["svg.hashsalt"] = "eggbox"

import matplotlib.pyplot as plt  # noqa: E402

# What is eggbox's own is drawn through, what it is held against in dashes.
OWN = "-"
YARDSTICK = "--"
PANELS = {
    "print(x) in a live session": {
        "no_op": YARDSTICK, "ping_pong": YARDSTICK, "warm": OWN, "flask_warm": YARDSTICK, "jupyter_warm": YARDSTICK,
    },
    "a new session, to its first result": {
        "new": OWN, "new_bare": OWN, "fork": YARDSTICK, "new_unparked": OWN, "python": YARDSTICK,
        "flask_new": YARDSTICK, "jupyter_new": YARDSTICK,
    },
}
# Where the axis of percentiles has its ticks; it is stretched towards 100.
PERCENTS = (0, 50, 90, 99, 99.9)


def stretched(percent):
    """The distance to 100, in powers of ten."""
    return 100 / (100 - percent)


def draw_latency(rows, path):
    figure, panels = plt.subplots(2, 1, figsize=(9, 10), layout="constrained")
    for panel, (title, lines) in zip(panels, PANELS.items()):
        for key, style in lines.items():
            row = rows[key]
            points = [(stretched(percent), value) for percent, value in row["distribution"] if percent <= PERCENTS[-1]]
            # What lies beyond the number of samples is one sample again and again.
            points = [point for point in points if point[0] <= max(2, row["samples"])]
            panel.plot(*zip(*points), style, label=f"{row['title']} (n = {row['samples']})")
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks([stretched(percent) for percent in PERCENTS], [f"{percent} %" for percent in PERCENTS])
        panel.set_xticks([], minor=True)
        panel.set_xlabel("so many answers took no longer")
        panel.set_ylabel("ms")
        panel.set_title(title)
        panel.grid(True, alpha=0.3)
        panel.legend(fontsize="small")
    save(figure, path)


def draw_growth(growth, path):
    figure, panel = plt.subplots(figsize=(9, 5), layout="constrained")
    idle = [step["idle_sessions"] for step in growth]
    lines = {
        "new_ms": ("new session, beside idle ones", OWN, "C0"),
        "new_empty_ms": ("new session, empty server in turn", YARDSTICK, "C0"),
        "warm_ms": ("print(x), beside idle ones", OWN, "C1"),
        "warm_empty_ms": ("print(x), empty server in turn", YARDSTICK, "C1"),
    }
    for key, (label, style, colour) in lines.items():
        panel.plot(idle, [step[key] for step in growth], style, color=colour, marker="o", label=label)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("idle sessions")
    panel.set_ylabel("p50, ms")
    panel.grid(True, alpha=0.3)
    panel.legend()
    save(figure, path)


def save(figure, path):
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    rows = {row["key"]: row for row in results["rows"]}
    draw_latency(rows, os.path.join(folder, "latency.svg"))
    draw_growth(results["growth"], os.path.join(folder, "growth.svg"))


if __name__ == "__main__":
    main()
