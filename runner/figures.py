"""matplotlib's figures as pictures: shown by `plt.show()` or at the end of an execution, and closed then."""

import io
import sys

import eggbox_bundles as bundles
import eggbox_display as display

FORMATS = {"image/png": "png", "image/svg+xml": "svg", "application/pdf": "pdf", "image/jpeg": "jpeg"}


def wanted(choice):
    """PNG, SVG as well where `rcParams["savefig.format"]` says so, and whatever else `display(include=...)` asks for."""
    usual = {"image/png"}
    if sys.modules["matplotlib"].rcParams["savefig.format"] == "svg":
        usual.add("image/svg+xml")
    return [mime for mime in FORMATS if choice.has_asked_for(mime) or mime in usual and choice.has(mime)]


def pictures(figure, choice):
    """Its MIME bundle; empty for a figure with nothing on it."""
    if len(figure.get_children()) <= 1:
        # Its background.
        return {}
    if figure.canvas is None:
        sys.modules["matplotlib.backend_bases"].FigureCanvasBase(figure)
    return {mime: picture(figure, FORMATS[mime]) for mime in wanted(choice)}


def picture(figure, kind):
    # As notebooks draw them.
    options = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor(), "dpi": figure.dpi}
    file = io.BytesIO()
    figure.canvas.print_figure(file, format=kind, bbox_inches="tight", **options)
    return file.getvalue()


bundles.MAKERS["matplotlib.figure", "Figure"] = pictures

# By `show_figure`, in the execution that runs.
SHOWN = []


def show(figure):
    """Shows it; one that cannot be drawn is worth a word, as nothing else tells of it."""
    try:
        data = pictures(figure, bundles.Choice(None, None))
    except Exception as error:
        sys.stderr.write(f"a figure cannot be drawn: {type(error).__name__}: {error}\n")
        return
    if data:
        display.show({**data, "text/plain": bundles.text(figure)})


def show_manager(manager):
    """In place of `FigureManagerBase.show`, which has no window to show: what `plt.show()` calls for each figure."""
    show(manager.canvas.figure)
    close(manager)


def show_figure(figure, warn=True):
    """In place of `Figure.show`, which would have its manager show it. It can be drawn on afterwards."""
    show(figure)
    SHOWN.append(figure)


def show_open(result=None):
    """Shows the figures that are open, but for those that have been as the `result` or by `show_figure`; closes all."""
    managers = open_managers()
    shown = [result, *SHOWN]
    SHOWN.clear()
    try:
        for manager in managers:
            if not any(manager.canvas.figure is figure for figure in shown):
                show(manager.canvas.figure)
    finally:
        for manager in managers:
            close(manager)


def open_managers():
    """None where the code has nothing to do with pyplot, which is not imported for it."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    managers = sys.modules["matplotlib._pylab_helpers"].Gcf.get_all_fig_managers()
    return sorted(managers, key=lambda manager: manager.num)


def close(manager):
    sys.modules["matplotlib._pylab_helpers"].Gcf.destroy(manager.num)
