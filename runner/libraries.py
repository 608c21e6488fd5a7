"""Has libraries show things by `display` while an execution is collected, and as they ever do at other times.

Nothing is imported for it: a library is adapted when it has been imported, or when user code imports it.
"""

import builtins
import functools
import importlib
import sys

import eggbox_bundles as bundles
import eggbox_display as display
import eggbox_figures as figures
import eggbox_notebook as notebook

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# The name of plotly's renderer here.
RENDERER = "eggbox"
# Of IPython's modules, those that have its functions for displays.
IPYTHON_MODULES = ("IPython.core.display_functions", "IPython.core.display", "IPython.display")


def adapt_managers(module):
    return replace(module.FigureManagerBase, "show", figures.show_manager)


def adapt_figures(module):
    return replace(module.Figure, "show", figures.show_figure)


def adapt_ipython(module):
    """Its functions ask for a shell, which there is none of. They keep what they are replaced by."""
    for name in ("display", "publish_display_data", "clear_output"):
        theirs, ours = getattr(module, name), getattr(display, name)
        if not getattr(theirs, "is_adapted", False):
            function = either(theirs, ours)
            for holder in filter(None, map(sys.modules.get, IPYTHON_MODULES)):
                if getattr(holder, name, None) is theirs:
                    setattr(holder, name, function)


def either(theirs, ours):
    """`ours` while an execution is collected, `theirs` otherwise."""

    @functools.wraps(theirs)
    def function(*arguments, **options):
        return (ours if display.is_collected() else theirs)(*arguments, **options)

    function.is_adapted = True
    return function


def adapt_plotly(module):
    """Where it knows no way to show figures, or a browser, it shows them here."""
    renderers = module.renderers
    if RENDERER not in renderers:
        renderers[RENDERER] = plotly_renderer(module)
    before = renderers.default
    if before and before != "browser":
        # What the user has chosen.
        return None
    renderers.default = RENDERER

    def undo():
        if renderers.default == RENDERER:
            renderers.default = before

    return undo


def plotly_renderer(module):
    class Renderer(module.ExternalRenderer):
        def render(self, fig_dict):
            display.show(plotly_bundle(module, fig_dict))

    return Renderer()


def plotly_bundle(module, fig_dict):
    return module.PlotlyRenderer().to_mimebundle(fig_dict)


def plotly_figure(figure, choice):
    """By its own methods where the user has chosen how figures are shown."""
    module = sys.modules.get("plotly.io._renderers") or importlib.import_module("plotly.io._renderers")
    return plotly_bundle(module, figure.to_dict()) if module.renderers.default == RENDERER else {}


bundles.MAKERS["plotly.basedatatypes", "BaseFigure"] = plotly_figure


def adapt_altair(module):
    """Its charts give their specification in place of a page that wants scripts from elsewhere."""
    renderers = module.renderers
    if renderers.active != "default":
        return None
    renderers.enable("mimetype")

    def undo():
        if renderers.active == "mimetype":
            renderers.enable("default")

    return undo


ADAPTERS = {
    "matplotlib.backend_bases": adapt_managers,
    "matplotlib.figure": adapt_figures,
    "IPython.core.display_functions": adapt_ipython,
    "plotly.io._renderers": adapt_plotly,
    "altair": adapt_altair,
}


def replace(holder, name, value):
    """Sets an attribute; returns what sets it back, unless somebody else has set it since."""
    before = getattr(holder, name)
    setattr(holder, name, value)

    def undo():
        if getattr(holder, name) is value:
            setattr(holder, name, before)

    return undo


class Adapted:
    """Those that are adapted now. As a finder of modules it sees them being imported."""

    def __init__(self):
        self.undoings = []

    def __enter__(self):
        if not hasattr(builtins, "display"):
            builtins.display = display.display
        for name in ADAPTERS:
            if name in sys.modules:
                self.adapt(name)
        sys.meta_path.insert(0, self)
        sys.meta_path.append(notebook.Finder)

    def __exit__(self, *_):
        for finder in (self, notebook.Finder):
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
        notebook.forget()
        while self.undoings:
            quietly(self.undoings.pop())

    def adapt(self, name):
        undo = quietly(ADAPTERS[name], sys.modules.get(name))
        if undo is not None:
            self.undoings.append(undo)

    def find_spec(self, name, path=None, target=None):
        if name not in ADAPTERS:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                self.watch(spec)
                return spec
        return None

    def watch(self, spec):
        """Has the module adapted as soon as it is there, by the loader that is its own and stays so."""
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)

        def exec_module(module):
            del loader.exec_module
            execute(module)
            self.adapt(spec.name)

        try:
            if execute is not None:
                loader.exec_module = exec_module
        except AttributeError:
            # It takes none: this library stays as it is.
            pass


def quietly(act, *arguments):
    """A library that is not as expected, or that user code has changed, stays as it is."""
    try:
        return act(*arguments)
    except Exception:
        return None
