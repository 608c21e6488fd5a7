"""MIME bundles of objects, by the conventions of notebooks: `_repr_mimebundle_`, `_repr_html_` and their kin.

Objects are asked, not trusted: what fails or is no representation is left out. Only what is no `Exception`, such as an
interrupt, gets through.
"""

import sys

# In the order of notebooks. Of an object that has PNG, JPEG is the same picture once more, and wants asking for.
METHODS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("application/pdf", "_repr_pdf_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
)
# An object that has this has every attribute that it is asked for.
CANARY = "_ipython_canary_method_should_not_exist_"

# Classes whose objects do not follow the conventions, by module and name: `make(object, include)` gives their data.
# Each is looked up among what is imported.
MAKERS = {}


class Choice:
    """Which representations are wanted."""

    def __init__(self, include, exclude):
        self.include = names(include)
        self.exclude = names(exclude) or frozenset()

    def has(self, mime):
        return mime not in self.exclude and (self.include is None or mime in self.include)

    def has_asked_for(self, mime):
        return self.include is not None and mime in self.include and mime not in self.exclude


def names(given):
    """What is given for `include` or `exclude`, as a set; None for nothing."""
    if not given:
        return None
    return frozenset([given] if isinstance(given, str) else given)


def displays_itself(thing):
    """Whether it has put itself on display, in which case there is nothing else to do."""
    method = method_of(thing, "_ipython_display_")
    if method is None or maker_of(thing) is not None:
        return False
    try:
        method()
        return True
    except Exception:
        # Its representations may do better.
        return False


def of(thing, include=None, exclude=None):
    """(data, metadata) of it."""
    choice = Choice(include, exclude)
    data, metadata = {}, {}
    maker = maker_of(thing)
    if maker is not None:
        take(data, metadata, choice, maker, thing, choice)
    if not data:
        ask(data, metadata, choice, thing)
    if choice.has("text/plain") and "text/plain" not in data:
        data["text/plain"] = text(thing)
    return data, metadata


def ask(data, metadata, choice, thing):
    bundle = method_of(thing, "_repr_mimebundle_")
    if bundle is not None:
        take(data, metadata, choice, bundle, include=choice.include, exclude=choice.exclude)
    for mime, name in METHODS:
        if mime in data or not choice.has(mime):
            continue
        if mime == "image/jpeg" and "image/png" in data and not choice.has_asked_for(mime):
            continue
        take_one(data, metadata, mime, method_of(thing, name))


def take(data, metadata, choice, make, *arguments, **options):
    """Adds the whole bundle that `make` gives, or what is wanted of it."""
    try:
        made = make(*arguments, **options)
        made, notes = made if isinstance(made, tuple) else (made, {})
        data.update({mime: value for mime, value in dict(made or {}).items() if choice.has(mime)})
        metadata.update(notes or {})
    except Exception:
        return


def take_one(data, metadata, mime, make):
    """Adds the one representation that `make` gives."""
    if make is None:
        return
    try:
        made = make()
        made, notes = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
        if made is not None:
            data[mime] = made
            if notes:
                metadata[mime] = notes
    except Exception:
        return


def method_of(thing, name):
    """The object's method of that name. Classes have those of their objects, which are not for them."""
    if isinstance(thing, type):
        return None
    try:
        method = getattr(thing, name, None)
        return method if callable(method) and getattr(thing, CANARY, None) is None else None
    except Exception:
        return None


def maker_of(thing):
    for (module, name), maker in MAKERS.items():
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(thing, kind):
            return maker
    return None


def text(thing):
    """Its `repr`, or a word on why there is none."""
    try:
        return repr(thing)
    except Exception as error:
        return f"<{type(thing).__name__} whose repr fails: {type(error).__name__}>"
