"""How exceptions are printed: as the interpreter does for a file, with the source of executions, which are none."""

import contextlib
import functools
import io
import linecache
import os
import sys
import threading


def standard(error, shown):
    """What the interpreter prints about an exception that nobody caught."""
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        with sources():
            sys.__excepthook__(type(error), error, shown)
        return sys.stderr.getvalue()
    finally:
        sys.stderr = stderr


@contextlib.contextmanager
def sources():
    """Lets the interpreter's own printing of tracebacks find the source of executions.

    Before 3.13 it reads lines by `io.open` of the file's name and knows nothing of linecache.
    """
    real = io.open

    def open_source(file, *arguments, **options):
        cached = linecache.cache.get(file) if isinstance(file, str) and file.startswith("execution ") else None
        if cached is None:
            return real(file, *arguments, **options)
        # It asks for the descriptor, so this has to be a file, if one without a name.
        file = os.fdopen(os.memfd_create("source"), "w+b")
        file.write("".join(cached[2]).encode("utf-8", "surrogatepass"))
        file.seek(0)
        return file

    io.open = open_source
    try:
        yield
    finally:
        io.open = real


def hook_others():
    """The same for exceptions that the interpreter reports by itself: in threads, and those that go nowhere."""

    def with_sources(report):
        @functools.wraps(report)
        def wrapper(arguments):
            with sources():
                report(arguments)

        return wrapper

    threading.excepthook = with_sources(threading.excepthook)
    sys.unraisablehook = with_sources(sys.unraisablehook)
