"""`display()`: what user code shows beside its output, and where that goes.

While an execution is collected it goes to the server; otherwise to stdout, as text.
"""

import binascii
import os
import sys

import eggbox_bodies as bodies
import eggbox_bundles as bundles

# Kinds of frames, as `wire` numbers them.
DISPLAY, RESULT = 1, 2


class Collector:
    """Where an execution's displays go."""

    def __init__(self, native, written, is_past):
        self.native = native
        self.written = written  # how many bytes the execution's stdout has had
        self.is_past = is_past  # whether the thread that asks was left behind by an earlier execution
        self.process = os.getpid()

    def takes(self):
        """A process that the code has forked off, or a thread of an earlier execution, has nobody to show things to."""
        return os.getpid() == self.process and not self.is_past()

    def send(self, kind, body):
        flush()
        try:
            self.native.emit(kind, body, self.written())
        except Exception:
            # The server is gone, or has had enough of this: nothing that the code could do about it.
            pass


# That of the execution that runs, if it is collected.
COLLECTOR = None


def flush():
    """What has been printed comes before what is shown or asked next."""
    try:
        sys.stdout.flush()
    except Exception:
        # The user's own.
        pass


def is_collected():
    return COLLECTOR is not None and COLLECTOR.takes()


def show(data, metadata=None, kind=DISPLAY, display_id=None, update=False):
    """Sends a MIME bundle, where somebody collects them."""
    collector = COLLECTOR
    if collector is not None and collector.takes():
        extra = {"display_id": display_id and str(display_id)[: bodies.NAME_CHARS_MAX], "update": bool(update)}
        collector.send(kind, bodies.bundle(data, metadata or {}, extra))


def show_result(value):
    """The value of the last expression."""
    if value is not None and not bundles.displays_itself(value):
        show(*bundles.of(value), kind=RESULT)


def display(
    *objects,
    include=None,
    exclude=None,
    metadata=None,
    transient=None,
    display_id=None,
    raw=False,
    clear=False,
    **options,
):
    """Shows objects in the richest way they know: see `_repr_html_` and its kin in IPython's documentation.

    include, exclude: MIME types to show, or not to. raw: the objects are MIME bundles themselves. display_id: a name to
    update the display by, or True for a new one; it returns a handle then.
    """
    display_id = display_id or (transient or {}).get("display_id")
    if display_id is True:
        display_id = binascii.hexlify(os.urandom(16)).decode("ascii")
    update = options.get("update", False)
    if update and not display_id:
        raise TypeError("display_id required for update_display")
    if not objects and display_id:
        # An empty place, to be filled later.
        objects, raw = ({},), True
    for thing in objects:
        if not is_collected():
            print(thing.get("text/plain", "") if raw else bundles.text(thing))
        elif raw:
            show(thing, metadata, display_id=display_id, update=update)
        elif not bundles.displays_itself(thing):
            data, notes = bundles.of(thing, include, exclude)
            show(data, merged(notes, metadata), display_id=display_id, update=update)
    return DisplayHandle(display_id) if display_id else None


def merged(notes, others):
    """The metadata of a bundle, with what the caller says on top, by MIME type."""
    for name, value in (others or {}).items():
        both = isinstance(value, dict) and isinstance(notes.get(name), dict)
        notes[name] = {**notes[name], **value} if both else value
    return notes


def publish_display_data(data, metadata=None, *, transient=None, **options):
    """Shows a MIME bundle as it is."""
    display(data, metadata=metadata, transient=transient, raw=True, **options)


def update_display(thing, *, display_id, **options):
    """Shows something in the place of an earlier display."""
    display(thing, display_id=display_id, update=True, **options)


def clear_output(wait=False):
    """What has been shown stays: an answer is a record."""


class DisplayHandle:
    """A display that can be updated."""

    def __init__(self, display_id=None):
        self.display_id = display_id or binascii.hexlify(os.urandom(16)).decode("ascii")

    def __repr__(self):
        return f"<{type(self).__name__} display_id={self.display_id}>"

    def display(self, thing, **options):
        display(thing, display_id=self.display_id, **options)

    def update(self, thing, **options):
        update_display(thing, display_id=self.display_id, **options)
