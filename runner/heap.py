"""Fills the holes of the nest's heap, so that what sessions allocate does not lie in them.

A hole is a free block among used ones: whatever a session puts there costs it a copy of the whole page. With the holes
taken, new objects lie side by side in pages of their own.
"""

import os
import re
import sys

# Of malloc's holes, from the largest that it keeps to the smallest that CPython's own allocator leaves to it.
LARGE_BYTES = (64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10, 2 << 10, 1 << 10, 768, 640, 528)
# What of them is filled at most, should the heap not be what this takes it for.
FILL_BYTES_MAX = 64 << 20

# Never given back.
FILLING = []


def fill_holes():
    for size, count in small_holes():
        FILLING.extend([small(size) for _ in range(count)])
    fill_large_holes()


def small_holes():
    """The free blocks of CPython's own allocator: (bytes, how many), as far as it tells."""
    kept = os.dup(2)
    report = os.memfd_create("report")
    try:
        os.dup2(report, 2)
        sys._debugmallocstats()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    with open(report, "r+b") as file:
        file.seek(0)
        lines = file.read().decode("ascii", "replace").splitlines()
    # class, size, num pools, blocks in use, avail blocks
    rows = (re.fullmatch(r"\s*\d+\s+(\d+)\s+\d+\s+\d+\s+(\d+)", line) for line in lines)
    holes = [(int(row[1]), int(row[2])) for row in rows if row]
    return [(size, min(count, FILL_BYTES_MAX // size // len(holes))) for size, count in holes if size % 16 == 0]


def small(size):
    """An object that takes a block of so many bytes and that no free list keeps."""
    if size == 16:
        return object()
    if size == 32:
        return complex(1.5, size)
    return bytes(size - sys.getsizeof(b""))


def fill_large_holes():
    """Those of malloc, below the top of its heap."""
    top = id(bytes(100_000))
    filled = 0
    for size in LARGE_BYTES:
        while filled < FILL_BYTES_MAX:
            block = bytes(size - sys.getsizeof(b""))
            if id(block) >= top:
                break
            FILLING.append(block)
            filled += size
