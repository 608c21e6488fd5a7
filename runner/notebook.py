"""`IPython.display` for environments without IPython: the few classes and functions that programs for notebooks begin with.

There while an execution is collected; whoever asks for IPython at other times is told, truly, that it is not installed.
"""

import importlib.machinery
import os
import sys
import types

import eggbox_display as display


class DisplayObject:
    """Data with a MIME type, from memory or a file."""

    def __init__(self, data=None, url=None, filename=None, metadata=None):
        if url is not None:
            raise ValueError("without IPython nothing is fetched: give data or filename")
        if filename is None and isinstance(data, (str, os.PathLike)) and self.is_file(data):
            data, filename = None, data
        self.data, self.filename, self.metadata = data, filename, metadata
        if filename is not None:
            self.reload()

    def is_file(self, data):
        return isinstance(data, os.PathLike)

    def reload(self):
        with open(self.filename, encoding="utf-8") as file:
            self.data = file.read()

    def __repr__(self):
        return f"<IPython.core.display.{type(self).__name__} object>"

    def shown(self):
        return (self.data, self.metadata) if self.metadata else self.data


class HTML(DisplayObject):
    def _repr_html_(self):
        return self.shown()

    def __html__(self):
        return self.data


class Markdown(DisplayObject):
    def _repr_markdown_(self):
        return self.shown()


class Latex(DisplayObject):
    def _repr_latex_(self):
        return self.shown()


class Math(Latex):
    def _repr_latex_(self):
        return f"$\\displaystyle {self.data.strip('$')}$"


class SVG(DisplayObject):
    def _repr_svg_(self):
        return self.shown()


class Javascript(DisplayObject):
    def _repr_javascript_(self):
        return self.shown()


class JSON(DisplayObject):
    def _repr_json_(self):
        return self.shown()


class Image(DisplayObject):
    """PNG, JPEG or GIF, told by its first bytes."""

    SIGNATURES = ((b"\x89PNG\r\n", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif"))

    def __init__(self, data=None, url=None, filename=None, format=None, width=None, height=None, metadata=None):
        super().__init__(data, url, filename, metadata)
        start = bytes(self.data[:8])
        kinds = [kind for signature, kind in self.SIGNATURES if start.startswith(signature)]
        if format is None and not kinds:
            raise ValueError("the data is no PNG, JPEG or GIF")
        self.format = f"image/{format.lower()}".replace("/jpg", "/jpeg") if format else kinds[0]
        size = {"width": width, "height": height}
        self.size = {name: value for name, value in size.items() if value is not None}

    def is_file(self, data):
        return True

    def reload(self):
        with open(self.filename, "rb") as file:
            self.data = file.read()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {self.format: self.data}, {self.format: {**(self.metadata or {}), **self.size}}


def module(name, members):
    made = types.ModuleType(name, __doc__)
    vars(made).update(members)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    return made


CLASSES = (DisplayObject, HTML, Markdown, Latex, Math, SVG, Javascript, JSON, Image)
FUNCTIONS = (display.display, display.publish_display_data, display.update_display, display.clear_output)
MEMBERS = {member.__name__: member for member in (*CLASSES, *FUNCTIONS, display.DisplayHandle)}
for member in CLASSES:
    member.__module__ = "IPython.display"

MODULES = {"IPython.display": module("IPython.display", {**MEMBERS, "__all__": list(MEMBERS)})}
# Libraries that look for a shell are told that there is none, and some look at the version.
MODULES["IPython"] = module(
    "IPython",
    {
        "display": MODULES["IPython.display"],
        "get_ipython": lambda: None,
        "version_info": (9, 0, 0, ""),
        "__version__": "9.0.0",
        "__path__": [],
    },
)


class Finder:
    """Finds these modules; asked last, so only where IPython is not installed."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in MODULES or name != "IPython" and sys.modules.get("IPython") is not MODULES["IPython"]:
            return None
        is_package = name == "IPython"
        return importlib.machinery.ModuleSpec(name, cls, origin="eggbox", is_package=is_package)

    @staticmethod
    def create_module(spec):
        return MODULES[spec.name]

    @staticmethod
    def exec_module(_):
        pass


def forget():
    """Takes them out of what is imported, if they are there."""
    for name, made in MODULES.items():
        if sys.modules.get(name) is made:
            del sys.modules[name]
