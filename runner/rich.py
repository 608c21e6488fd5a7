"""An execution whose results are collected: the value of its last expression, its displays and figures, its exception."""

import ast
import contextlib

import eggbox_bundles as bundles
import eggbox_display as display
import eggbox_exceptions as exceptions
import eggbox_figures as figures
import eggbox_libraries as libraries

# Code may have an await at its top level.
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@contextlib.contextmanager
def collected(native, written, is_past):
    """What is shown inside goes to the server."""
    display.COLLECTOR = display.Collector(native, written, is_past)
    try:
        with libraries.Adapted():
            yield
    finally:
        display.COLLECTOR = None


def run(interpreter, source, name):
    """Runs `source` in the interpreter, and shows what is to be seen of it. Raises what it raises."""
    body, last = split(source, name)
    failure = value = None
    try:
        interpreter.execute(body)
        if last is not None:
            value = interpreter.execute(last)
            display.show_result(value)
    except BaseException as error:
        # Kept, so that what goes wrong with figures did not happen "during handling of" it.
        failure = error
    if display.is_collected():
        figures.show_open(value)
    if failure is not None:
        try:
            raise failure
        finally:
            # Or the exception's frames would hold it, and it them.
            del failure


def split(source, name):
    """The code, and that of the expression at its end, if that is to be shown."""
    tree = compile(source, name, "exec", FLAGS | ast.PyCF_ONLY_AST, dont_inherit=True)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not is_silenced(source, tree.body[-1]):
        last = ast.Expression(tree.body.pop().value)
        last = compile(last, name, "eval", FLAGS, dont_inherit=True)
    return compile(tree, name, "exec", FLAGS, dont_inherit=True), last


def is_silenced(source, statement):
    """Whether a semicolon stands after it, as in notebooks."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # Counted in bytes.
    rest = lines[statement.end_lineno - 1].encode("utf-8", "replace")[statement.end_col_offset :]
    return rest.lstrip().startswith(b";")


def tell(native, error):
    """Sends the details of an exception."""
    try:
        if display.is_collected():
            display.COLLECTOR.send(exceptions.EXCEPTION, exceptions.body(error))
    except BaseException:
        # It has been printed.
        pass
