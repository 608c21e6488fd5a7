"""Keeps what the standard library wants called at a fork from the forks of the nest, which has nothing to repair."""

import contextlib
import os
import sys

# Modules whose hooks repair locks and thread numbers, or reseed what `randomness` takes care of.
HELD = frozenset(("asyncio.events", "concurrent.futures.thread", "logging", "random", "threading"))


@contextlib.contextmanager
def held_back(native):
    """What is registered inside is called at every fork but those."""
    before, in_parent, in_child = [], [], []
    register = os.register_at_fork

    def hold(**hooks):
        if sys._getframe(1).f_globals.get("__name__") not in HELD:
            register(**hooks)
            return
        for name, held in (("before", before), ("after_in_parent", in_parent), ("after_in_child", in_child)):
            if hooks.get(name) is not None:
                held.append(hooks[name])

    os.register_at_fork = hold
    try:
        yield
    finally:
        os.register_at_fork = register
        native.keep_fork_hooks(before, in_parent, in_child)
        register(
            before=native.call_before_fork,
            after_in_parent=native.call_in_parent,
            after_in_child=native.call_in_child,
        )
