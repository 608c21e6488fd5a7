"""The session's loop: takes code, runs it in `__main__`, says how it ended.

Everything here may be rebound by user code, so nothing here is relied on by the server: output, exit and deadlines
are seen from outside. The native module reads and writes the channel itself.
"""

import _signal
import ast
import asyncio
import builtins
import contextlib
import io
import json
import linecache
import os
import selectors
import sys
import tempfile
import threading
import time
import types

import eggbox_reports as reports
import eggbox_rich as rich
import eggbox_stdin as stdin

# As `wire::Ending` numbers them.
OK, EXCEPTION, DENIED, INTERRUPTED, OUT_OF_MEMORY = range(5)

# The variable that says how often a session was made from an image of another, or of itself.
GENERATION = "EGGBOX_GENERATION"

# What a request asks for beside its code being run, as `wire` numbers it.
RICH, INTERACTIVE = 1, 2

# The seed's words for a refused deletion, as the native audit hook raises it.
DENIAL = (13, "Permission denied: filesystem access restricted")

COROUTINE = 0x80  # inspect.CO_COROUTINE: the code has an await at its top level


# Frames of code in it are not the user's.
FOLDER = os.path.dirname(__file__) + os.sep

# Threads that earlier executions have left behind, by the kernel's numbers, which are not soon used again.
PAST_THREADS = frozenset()
# How often, and after how many seconds, threads of pools are looked at again that have not come to rest.
POOL_LOOKS, POOL_PAUSE = 4, 0.0005
# The writer behind `sys.stdout` as the session began with it.
STDOUT = None


class Writer(io.BufferedWriter):
    """Passes each write on at once, so that print, os.write and subprocesses keep their order."""

    written = 0  # bytes

    def write(self, data):
        if PAST_THREADS and threading.get_native_id() in PAST_THREADS:
            # Of an execution that is over: not to be taken for this one's.
            return len(data)
        count = super().write(data)
        self.written += count
        self.flush()
        return count


class Interpreter:
    """A `__main__` module and the code that has run in it."""

    def __init__(self):
        self.main = types.ModuleType("__main__")
        self.main.__builtins__ = __import__("builtins")
        self.main.__annotations__ = {}
        self.executions = 0
        self.loop = None
        self.status = 0  # what a process that user code forked off exits with

    def run(self, source, native, is_collected=False):
        """Runs `source`; returns its ending. Raises nothing, whatever the code has done to the modules used here.

        Where it `is_collected`, which is within `rich.collected`, what it results in is shown.
        """
        self.executions += 1
        self.status = 0
        name = f"execution {self.executions}"
        # As a file would have it.
        source = source if source.endswith("\n") else source + "\n"
        try:
            prepare(name, source)
        except BaseException:
            # Tracebacks will lack their source lines.
            pass
        try:
            try:
                native.allow_interrupt(True)
                if is_collected:
                    rich.run(self, source, name)
                else:
                    self.execute(compile(source, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
            finally:
                native.allow_interrupt(False)
        except SystemExit as leaving:
            return self.guarded(self.leave, leaving.code, OK)
        except BaseException as error:
            self.status = 1
            if isinstance(error, MemoryError):
                native.use_reserve()
            ending = self.guarded(self.report, error, OUT_OF_MEMORY if isinstance(error, MemoryError) else EXCEPTION)
            if is_collected:
                rich.tell(native, error)
            return ending
        return OK

    def guarded(self, tell, what, otherwise):
        """The ending that `tell(what)` gives, or `otherwise`, and a word about it, where that fails."""
        try:
            return tell(what)
        except BaseException:
            try:
                os.write(2, b"an exception that cannot be shown\n")
            except BaseException:
                pass
            return otherwise

    def execute(self, code):
        """Runs it to its end; returns the value of an expression."""
        if not code.co_flags & COROUTINE:
            return eval(code, self.main.__dict__)
        coroutine = eval(code, self.main.__dict__)
        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(coroutine)
        try:
            return self.loop.run_until_complete(task)
        except KeyboardInterrupt as interrupt:
            task.cancel()
            try:
                self.loop.run_until_complete(task)
            except asyncio.CancelledError as cancelled:
                # Where the code was waiting, not where the loop was.
                raise interrupt.with_traceback(cancelled.__traceback__) from None
            raise

    def leave(self, code):
        """What `sys.exit(code)` does at the end of a script, short of ending it."""
        if isinstance(code, int):
            self.status = code & 0xFF
        elif code is not None:
            self.status = 1
            sys.stderr.write(f"{code}\n")
        return OK

    def report(self, error):
        """Prints a traceback of the user's frames, as the interpreter would for a file."""
        shown = self.users_frames(error.__traceback__)
        error = error.with_traceback(shown)
        if type(error) is PermissionError and error.args == DENIAL:
            return DENIED
        if isinstance(error, SyntaxError) and error.text is None and error.lineno:
            # The compiler looks for the line in the file.
            error.text = linecache.getline(str(error.filename), error.lineno) or None
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(type(error), error, shown)
        else:
            sys.stderr.write(reports.standard(error, shown))
        if isinstance(error, MemoryError):
            return OUT_OF_MEMORY
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXCEPTION

    def users_frames(self, traceback):
        """Without those of the runner."""
        while traceback is not None and traceback.tb_frame.f_globals is not self.main.__dict__:
            traceback = traceback.tb_next
        below = traceback
        while below is not None and below.tb_next is not None:
            # They lie between the user's where print was interrupted, or an object was asked for what to show.
            if below.tb_next.tb_frame.f_code.co_filename.startswith(FOLDER):
                below.tb_next = below.tb_next.tb_next
            else:
                below = below.tb_next
        return traceback


def is_past_thread():
    """Whether this thread was left behind by an earlier execution."""
    return threading.get_native_id() in PAST_THREADS


def stdout_bytes():
    """How many have been written, by this process."""
    return 0 if STDOUT is None else STDOUT.written


def note_past_threads():
    """Counts every other thread there is among those of executions that are over."""
    global PAST_THREADS
    try:
        if len(sys._current_frames()) == 1:
            PAST_THREADS = frozenset()
            return
        idle, busy = pool_threads()
        for _ in range(POOL_LOOKS):
            if not busy:
                break
            # Whoever waited for what one of them did may be faster than it.
            time.sleep(POOL_PAUSE)
            idle, busy = pool_threads()
        # In one step: they may be writing.
        PAST_THREADS = frozenset(thread_numbers()) - {threading.get_native_id()} - idle
    except BaseException:
        # What is known so far has to do.
        pass


def pool_threads():
    """Threads of pools: those that wait for work, which is what the next execution gives them, and those that do some."""
    frames = sys._current_frames()
    idle, busy = set(), set()
    for thread in threading.enumerate():
        frame = top = frames.get(thread.ident)
        while frame is not None and not is_pool_loop(frame.f_code):
            frame = frame.f_back
        if frame is not None:
            (idle if frame is top else busy).add(thread.native_id)
    return idle, busy


def is_pool_loop(code):
    return (
        code.co_name == "_worker"
        and code.co_filename.endswith("concurrent/futures/thread.py")
        or code.co_name == "worker"
        and code.co_filename.endswith("multiprocessing/pool.py")
    )


def thread_numbers():
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        # Not in sight under --isolation reduced, where threads that the module does not know escape.
        return [thread.native_id for thread in threading.enumerate()]


def prepare(name, source):
    # Without a time of change the cache never drops it: tracebacks find the source of any earlier execution.
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    if sys.stdin is not None and sys.stdin.closed:
        # `exit()` closes it.
        stdin.open_stream()


def say(text, fallback):
    """Writes what `text()` gives to stderr, or `fallback` where the user's own stream, hook or object fails."""
    try:
        sys.stderr.write(text())
    except BaseException:
        try:
            os.write(2, f"{fallback}\n".encode("utf-8", "replace"))
        except BaseException:
            pass


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except BaseException:
            pass


def open_streams():
    """Gives the session fresh streams over its own descriptors.

    `surrogatepass` never raises, whatever string is printed; the server makes what is not UTF-8 readable.
    """
    global STDOUT
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(
        Writer(io.FileIO(1, "w", closefd=False)), "utf-8", "surrogatepass", write_through=True
    )
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(
        Writer(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", write_through=True
    )
    for stream, name in ((sys.stdout, "<stdout>"), (sys.stderr, "<stderr>")):
        stream.buffer.raw.name = name
        stream.mode = "w"
    STDOUT = sys.stdout.buffer
    stdin.open_stream()


@contextlib.contextmanager
def unseen():
    """What is run inside leaves nothing of itself where user code would find it, and shows nothing."""
    kept = sys.stdout, sys.stderr, sys.modules["__main__"]
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.modules["__main__"] = kept
        linecache.cache.clear()


def set_environment(text):
    """Adds a JSON object of variables to the environment."""
    variables = json.loads(text)
    os.environ.update(variables)
    if "TZ" in variables:
        time.tzset()


def exercise_collected(native, programs):
    """The same as `exercise`, for executions that are collected."""
    with rich.collected(native, stdout_bytes, is_past_thread):
        exercise(native, programs, True)
    # It comes with the first such execution of a session.
    del builtins.display


def exercise(native, programs, is_collected=False):
    """Runs each program, one after the other as a session would; says on stderr which did not end as it should."""
    with unseen():
        interpreter = Interpreter()
        sys.modules["__main__"] = interpreter.main
        endings = [interpreter.run(program, native, is_collected) for _, program in programs]
        shown = sys.stderr.getvalue()
    for ending, (expected, program) in zip(endings, programs):
        if ending != expected:
            print(f"failed to exercise {program!r}; what was shown: {shown}", file=sys.stderr)


def thread_names():
    """Threads beside this one, by their names; nothing where there are none."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    if not names:
        return ""
    text = f"{len(names)} thread{'s are' if names[1:] else ' is'} running: {', '.join(names)}"
    # Code names them as it likes, also by what is no text elsewhere.
    return text.encode(errors="replace").decode()


def rest(loop):
    """Has an event loop hold no descriptors: it gets others by calling what is returned first. Beside it what it watches that it
    cannot let go of; nothing where there is nothing."""
    if loop is None or loop.is_closed():
        return None, ""
    if loop._signal_handlers or any(key.fd != loop._ssock.fileno() for key in loop._selector.get_map().values()):
        return None, "an event loop watches descriptors or signals"

    def wake():
        loop._selector = selectors.DefaultSelector()
        loop._make_self_pipe()

    loop._close_self_pipe()
    loop._selector.close()
    return wake, ""


class Beginning:
    """What every session begins with, made once in the nest."""

    def __init__(self, native, reseed, warm_up_program):
        self.native = native
        self.reseed = reseed
        self.warm_up_program = warm_up_program
        with_standard_streams(open_streams)
        sys.path.insert(0, os.environ["HOME"])
        tempfile._name_sequence = None
        reports.hook_others()
        if os.getpid() == 1:
            # Sets a default action's stand-in again, where code asks for the default action.
            _signal.signal = native.signal
        self.interpreter = Interpreter()
        sys.modules["__main__"] = self.interpreter.main

    def settle(self, workspace, scratch):
        """Makes the session at home in its folders, which are /workspace and /tmp wherever it has mounts of its own."""
        for seed in self.reseed:
            seed()
        if workspace != os.environ["HOME"]:
            sys.path[0] = os.environ["HOME"] = workspace
        if scratch != "/tmp":
            os.environ["TMPDIR"] = scratch
            for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME"):
                os.environ[name] = os.path.join(scratch, os.path.basename(os.environ[name]))
            tempfile.tempdir = None

    def run(self, source, options, given):
        """Runs code with what is asked for beside; returns its ending."""
        native, interpreter = self.native, self.interpreter
        if not options and given is None:
            return interpreter.run(source, native)
        before = stdout_bytes()

        def written():
            return stdout_bytes() - before

        with contextlib.ExitStack() as stack:
            if given is not None:
                stack.enter_context(stdin.given(given))
            elif options & INTERACTIVE:
                stack.enter_context(stdin.asked(native, written))
            if options & RICH:
                stack.enter_context(rich.collected(native, written, is_past_thread))
            return interpreter.run(source, native, bool(options & RICH))

    def warm_up(self):
        """Runs what a first execution runs, so that the pages it writes to are this session's own already."""
        interpreter = self.interpreter
        try:
            with unseen():
                self.interpreter = Interpreter()
                sys.modules["__main__"] = self.interpreter.main
                self.run(self.warm_up_program, 0, None)
        finally:
            self.interpreter = interpreter
        flush()
        note_past_threads()

    def stand_still(self, asked):
        """Has an image taken of this session. Whatever becomes that image goes on from here, as this one does."""
        flush()
        wake, obstacle = None, ""
        try:
            obstacle = thread_names()
            if not obstacle:
                wake, obstacle = rest(self.interpreter.loop)
        except BaseException:
            # What there is, the native side sees as well.
            pass
        try:
            told = self.native.stand_still(asked, obstacle)
        finally:
            if wake is not None:
                wake()
        if not told:
            return
        try:
            self.begin_again()
        except BaseException:
            # Never with what others have as well.
            os._exit(1)
        self.native.warm(told)

    def begin_again(self):
        """Makes what was one session, and is two now, differ in what must never be the same twice."""
        for seed in self.reseed:
            seed()
        ssl = sys.modules.get("_ssl")
        if ssl is not None:
            ssl.RAND_add(os.urandom(64), 64.0)
        os.environ[GENERATION] = str(int(os.environ.get(GENERATION, "0")) + 1)

    def serve(self, workspace, scratch):
        """Runs one request after another; never returns."""
        native, interpreter = self.native, self.interpreter
        self.settle(workspace, scratch)
        native.ready()
        while True:
            try:
                request = native.receive()
                if not isinstance(request, tuple):
                    self.warm_up()
                    native.warm(request)
                    continue
                if len(request) == 1:
                    self.stand_still(*request)
                    continue
                if len(request) == 2:
                    variables, asked = request
                    set_environment(variables)
                    native.warm(asked)
                    continue
                source, options, given = request
                ending = self.run(source, options, given)
                flush()
                note_past_threads()
                native.finish(ending, interpreter.status)
            except BaseException:
                # An interrupt or a handler of the user's came a moment late. The native side answers what is unanswered
                # before it takes the next request.
                continue


def with_standard_streams(act):
    """Calls `act` while descriptors 0, 1 and 2 are what they are in a session: nothing, and two pipes."""
    kept = [os.dup(number) for number in range(3)]
    nothing = os.open("/dev/null", os.O_RDONLY)
    pipe = os.pipe()
    try:
        for number, descriptor in enumerate((nothing, pipe[1], pipe[1])):
            os.dup2(descriptor, number)
        act()
    finally:
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
        for descriptor in (*kept, nothing, *pipe):
            os.close(descriptor)
