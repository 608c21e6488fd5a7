"""The bodies of frames for the server: valid JSON of any user's objects, within limits.

What does not fit is left out and flagged, never an error.
"""

import base64
import json

# What the native module sends in one frame at most. A picture for a large screen has a tenth of it.
FRAME_BYTES_MAX = 4 << 20
# Of it for text/plain, so that one long list does not push out the other representations.
TEXT_BYTES_MAX = 1 << 20
METADATA_BYTES_MAX = 64 << 10
REPRESENTATIONS_MAX = 64
# For names of MIME types and displays.
NAME_CHARS_MAX = 256
# How deep what stands in for JSON is looked into.
DEPTH_MAX = 64

CHUNK_CHARS = 1 << 20
# In place of a body that nobody will see.
TOO_LARGE = bytes(FRAME_BYTES_MAX + 1)

# Bound here, so that it is as it was whatever becomes of `json`.
TO_TEXT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode(value):
    """Compact UTF-8; what UTF-8 has no bytes for becomes a question mark."""
    return TO_TEXT(value).encode("utf-8", "replace")


def bundle(data, metadata, extra):
    """The body for a MIME bundle; `extra` is what stands beside it."""
    kept, omitted, truncated = {}, {}, {}
    encoded = dict(filter(None, map(representation, list(data.items())[:REPRESENTATIONS_MAX])))
    room = FRAME_BYTES_MAX - METADATA_BYTES_MAX * 2
    # The smallest first, so that as many as possible have room.
    for mime in sorted(encoded, key=lambda mime: len(encoded[mime][1])):
        value, body, size = encoded[mime]
        if mime == "text/plain" and len(body) > TEXT_BYTES_MAX:
            body = cut_text(value, TEXT_BYTES_MAX)
            truncated[mime] = size
        if len(body) > room:
            omitted[mime] = size
        else:
            kept[mime] = body
            room -= len(body)
    fields = [(b"data", joined((mime, kept[mime]) for mime in encoded if mime in kept))]
    fields.append((b"metadata", encoded_metadata(metadata)))
    notes = {"omitted": omitted, "truncated": truncated, **extra}
    fields += [(name.encode(), encode(note)) for name, note in notes.items() if note]
    return b"{" + b",".join(b'"%s":%s' % field for field in fields) + b"}"


def representation(item):
    """(MIME type, (text, JSON, bytes of its content)); None for what cannot be sent as one."""
    mime, value = item
    if not isinstance(mime, str) or len(mime) > NAME_CHARS_MAX:
        return None
    try:
        if is_json(mime, value):
            body = encode_anything(value)
            return mime, (value, body, len(body))
        value = text_of(mime, value)
        size = bytes_in(value)
        # What cannot fit is not copied once more.
        return mime, (value, encode(value) if size <= FRAME_BYTES_MAX else TOO_LARGE, size)
    except Exception:
        return None


def is_json(mime, value):
    """Whether it stays JSON: types that say so, and whatever is no text where it need not be one."""
    kind = mime.partition(";")[0].strip()
    if kind == "application/json" or kind.endswith("+json"):
        return True
    # Vega-Lite's type ends in ".json".
    return isinstance(value, (dict, list)) and not kind.startswith(("text/", "image/"))


def text_of(mime, value):
    """The text that notebooks have of it: base64 of what is binary."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        if mime.startswith("text/") or mime == "image/svg+xml" or mime == "application/javascript":
            return bytes(value).decode("utf-8", "replace")
        return base64.b64encode(value).decode("ascii")
    if not isinstance(value, str):
        raise TypeError(f"{mime} is text or bytes")
    return str(value)


def bytes_in(text):
    chunks = (text[at : at + CHUNK_CHARS] for at in range(0, len(text), CHUNK_CHARS))
    return sum(len(chunk.encode("utf-8", "replace")) for chunk in chunks)


def cut_text(text, limit):
    """The JSON of as much of its beginning as has room."""
    text = text[:limit]
    body = encode(text)
    while len(body) > limit:
        # Escapes and wide characters: by as much as is too much, and a little more.
        text = text[: len(text) * limit // len(body) * 15 // 16]
        body = encode(text)
    return body


def encode_anything(value):
    try:
        return encode(value)
    except (TypeError, ValueError):
        return encode(plain(value, DEPTH_MAX))


def plain(value, depth):
    """What JSON has for it: null where a number is none, lists for arrays, texts for everything else."""
    if depth == 0:
        raise ValueError("too deep, or within itself")
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if callable(getattr(value, "tolist", None)):
        # numpy's arrays and numbers.
        return plain(value.tolist(), depth - 1)
    return str(value)


def encoded_metadata(metadata):
    try:
        body = encode_anything(metadata) if isinstance(metadata, dict) else b"{}"
    except Exception:
        return b"{}"
    return body if len(body) <= METADATA_BYTES_MAX else b"{}"


def joined(items):
    return b"{" + b",".join(encode(name) + b":" + body for name, body in items) + b"}"
