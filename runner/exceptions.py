"""What is told of an exception that nobody caught, beside the traceback that is printed."""

import linecache

import eggbox_bodies as bodies

EXCEPTION = 4  # the kind of frame, as `wire` numbers it

TEXT_CHARS_MAX = 64 << 10
LINE_CHARS_MAX = 1000
NOTES_MAX = 20
# From either end of a traceback; a recursion without end has a thousand in between.
FRAMES_MAX = 20


def body(error):
    """The body of its frame: `error` has the traceback that was printed."""
    frames = frames_of(error.__traceback__)
    told = {**brief(error), "module": bounded(getattr(type(error), "__module__", None))}
    told["frames"] = [told_frame(*frame) for frame in frames[:FRAMES_MAX] + frames[FRAMES_MAX:][-FRAMES_MAX:]]
    if len(frames) > 2 * FRAMES_MAX:
        told["omitted_frames"] = len(frames) - 2 * FRAMES_MAX
    if error.__cause__ is not None:
        told["cause"] = brief(error.__cause__)
    elif error.__context__ is not None and not error.__suppress_context__:
        told["context"] = brief(error.__context__)
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, (list, tuple)) and notes:
        told["notes"] = [bounded(note) for note in notes[:NOTES_MAX]]
    if isinstance(error, SyntaxError):
        told.update(place(error))
    return bodies.encode_anything(told)


def brief(error):
    return {"type": bounded(type(error).__qualname__), "message": bounded(error)}


def bounded(value, limit=TEXT_CHARS_MAX):
    """As text, of which there is not too much; None where there is none."""
    if value is None:
        return None
    try:
        return str(value)[:limit]
    except Exception:
        return None


def frames_of(traceback):
    """(file, line, function), outermost first."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append((code.co_filename, traceback.tb_lineno, code.co_name))
        traceback = traceback.tb_next
    return frames


def told_frame(file, line, function):
    source = linecache.getline(file, line).strip()[:LINE_CHARS_MAX] if line else ""
    return {"file": file, "line": line, "function": function, "source": source or None}


def place(error):
    """Where the code is no Python."""
    number = lambda value: value if isinstance(value, int) else None
    return {
        "message": bounded(error.msg),
        "file": bounded(error.filename),
        "line": number(error.lineno),
        "offset": number(error.offset),
        "text": bounded(error.text, LINE_CHARS_MAX),
    }
