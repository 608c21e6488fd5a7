"""The nest: imports and exercises what sessions need, then forks them.

Runs inside the nest's own jail, single-threaded, and never sees user code. Started as

    nest.py (available | named) MODULE ...

where each module is imported; `available` skips those that are not installed, `named` refuses to go on.
`native.serve()` returns only in a forked, locked-down session, which then goes on with what `session.Beginning` has made,
in folders of its own.
"""

import builtins
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback

# Imported by nearly every program, here once for all sessions.
STANDARD = (
    "ast", "asyncio", "base64", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime",
    "decimal", "enum", "fractions", "functools", "glob", "hashlib", "heapq", "inspect", "io", "itertools", "json",
    "linecache", "logging", "math", "multiprocessing", "operator", "pathlib", "pickle", "platform", "pprint",
    "queue", "random", "re", "shutil", "signal", "socket", "statistics", "string", "struct", "subprocess",
    "tempfile", "textwrap", "threading", "time", "timeit", "tokenize", "traceback", "types", "typing", "unittest",
    "urllib.parse", "uuid", "warnings", "weakref", "zlib",
)

# What the session's loop is made of, each after those it needs.
PARTS = (
    "bodies", "bundles", "display", "figures", "notebook", "libraries", "exceptions", "rich", "stdin", "reports",
)


def load_native(folder):
    path = os.path.join(folder, "native.so")
    loader = importlib.machinery.ExtensionFileLoader("eggbox_native", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("eggbox_native", loader))
    loader.exec_module(module)
    return module


def load(folder, name):
    """Loads a module of the runner with builtins of its own, which user code cannot rebind by accident.

    It is found by those loaded after it, until `hide` takes it from where user code would find it too.
    """
    spec = importlib.util.spec_from_file_location(f"eggbox_{name}", os.path.join(folder, f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    module.__builtins__ = dict(vars(builtins))
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def hide():
    for name in [name for name in sys.modules if name.startswith("eggbox_")]:
        del sys.modules[name]


def preload(mode, modules):
    """Imports `modules`; returns those that were imported and those that are not installed."""
    loaded, missing = [], []
    for name in modules:
        try:
            importlib.import_module(name)
            loaded.append(name)
        except ModuleNotFoundError as error:
            # A package that is there but lacks something of its own is broken, not missing.
            if mode == "named" or error.name != name.partition(".")[0]:
                raise
            missing.append(name)
    return loaded, missing


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.remove(folder)
    native = load_native(folder)
    try:
        with load(folder, "fork_hooks").held_back(native):
            for name in PARTS:
                load(folder, name)
            session = load(folder, "session")
            for name in STANDARD:
                importlib.import_module(name)
            loaded, missing = preload(sys.argv[1], sys.argv[2:])
        exercises = load(folder, "exercises")
        session.exercise(native, exercises.of(sys.modules, exercises.PROGRAMS))
        session.exercise_collected(native, exercises.of(sys.modules, exercises.COLLECTED))
        reseed = load(folder, "randomness").share_out(native)
    except BaseException as error:
        traceback.print_exc()
        native.refuse("".join(traceback.format_exception_only(type(error), error)).strip())
    sys.argv[:] = [""]
    # It remembers the host's name, which sessions have no other way to learn.
    sys.modules["platform"]._uname_cache = None
    beginning = session.Beginning(native, reseed, exercises.AGAIN)
    gc.collect()
    try:
        load(folder, "heap").fill_holes()
    except Exception:
        # Sessions work as well, and have more memory of their own.
        traceback.print_exc()
    hide()
    gc.freeze()
    beginning.serve(*native.serve(sys.version.split()[0], loaded, missing))


main()
