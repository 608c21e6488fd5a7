"""Where an execution's input comes from: nowhere, the bytes that came with the request, or somebody who is asked."""

import builtins
import contextlib
import getpass
import os
import sys

import eggbox_bodies as bodies
import eggbox_display as display

# Of what is shown to whoever is asked for a line.
PROMPT_CHARS_MAX = 64 << 10


def open_stream():
    """A fresh `sys.stdin` over descriptor 0."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)


@contextlib.contextmanager
def given(data):
    """Descriptor 0 and `sys.stdin` are these bytes; afterwards nothing again."""
    try:
        put_at_zero(data)
    except OSError as error:
        os.write(2, f"the input cannot be had: {error}\n".encode("utf-8", "replace"))
    open_stream()
    stream = sys.stdin
    try:
        yield
    finally:
        take_from_zero()
        if sys.stdin is stream or sys.stdin is None or sys.stdin.closed:
            open_stream()


def put_at_zero(data):
    file = os.memfd_create("stdin")
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.lseek(file, 0, os.SEEK_SET)
        os.dup2(file, 0)
    finally:
        os.close(file)


def take_from_zero():
    try:
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        if nothing:
            os.close(nothing)
    except OSError:
        # It has no descriptors left. An empty file is nothing as well.
        with contextlib.suppress(OSError):
            os.ftruncate(0, 0)


@contextlib.contextmanager
def asked(native, stdout_bytes):
    """`input()` and `getpass.getpass()` ask whoever listens to the execution.

    `stdout_bytes()` is how much that has printed.
    """
    read, read_secret, process = builtins.input, getpass.getpass, os.getpid()

    def is_answered():
        # A process that the code has forked off has nobody to ask, and a stream that the user has put there goes first.
        return os.getpid() == process and sys.stdin is sys.__stdin__

    def ask(prompt, is_password):
        display.flush()
        wish = bodies.encode({"prompt": str(prompt)[:PROMPT_CHARS_MAX], "password": is_password})
        try:
            line = native.ask_line(wish, stdout_bytes())
        except OSError:
            # Of another thread: nobody hears it.
            line = None
        if line is None:
            raise EOFError("EOF when reading a line")
        return line

    def input(prompt="", /):
        return ask(prompt, False) if is_answered() else read(prompt)

    def getpass_(prompt="Password: ", stream=None, **options):
        return ask(prompt, True) if is_answered() else read_secret(prompt, stream, **options)

    getpass_.__name__ = getpass_.__qualname__ = "getpass"
    input.__qualname__ = "input"
    builtins.input, getpass.getpass = input, getpass_
    try:
        yield
    finally:
        if builtins.input is input:
            builtins.input = read
        if getpass.getpass is getpass_:
            getpass.getpass = read_secret
