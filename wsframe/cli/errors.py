"""What ends a command: one line for the user, and an exit code."""

from __future__ import annotations

import contextlib
import os
from traceback import extract_tb

import trio

__all__ = ["Failure", "Mistake", "OutputGone", "describe", "missing_extra", "only"]


# Where it is only noticed that the user's code is wrong.
OWN_FOLDERS = (
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    os.path.join(os.path.dirname(trio.__file__ or ""), ""),
    os.path.join(os.path.dirname(contextlib.__file__), "contextlib.py"),
)


class Mistake(Exception):
    """Something the user got wrong, in one line."""

    exit_code = 2


class Failure(Mistake):
    """Something that went wrong though the command was right, in one line."""

    exit_code = 1


class OutputGone(Exception):
    """Nobody reads what is printed any more, as after "head"; the command ends without a word."""


def describe(error: BaseException) -> str:
    """Describe an exception in one line, with the place it comes from."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):  # its text names the place
        return text
    frames = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    # Where the user's code calls ours, which has only noticed.
    theirs = [frame for frame in frames if not frame.filename.startswith(OWN_FOLDERS)] or frames
    return f"{text} ({theirs[-1].filename}, line {theirs[-1].lineno})"


def missing_extra(what: str, extra: str) -> Mistake:
    """Make the mistake of calling for what is not installed."""
    return Mistake(f"{what} needs more than is installed: pip install 'wsframe[{extra}]'")


def only(kind: type[BaseException], group: BaseExceptionGroup[BaseException]) -> bool:
    """Tell whether a group holds nothing but exceptions of this kind."""
    return group.split(kind)[1] is None
