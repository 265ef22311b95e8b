"""The exceptions that end a command: one line for the user, and an exit code."""

from __future__ import annotations

import contextlib
import os
from traceback import extract_tb

import trio

__all__ = ["Failure", "Mistake", "OutputGone", "describe", "missing_extra", "only"]


# Code that only detects mistakes in the user's code.
OWN_FOLDERS = (
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    os.path.join(os.path.dirname(trio.__file__ or ""), ""),
    os.path.join(os.path.dirname(contextlib.__file__), "contextlib.py"),
)


class Mistake(Exception):
    """A mistake of the user, in one line."""

    exit_code = 2


class Failure(Mistake):
    """A failure of a correct command, in one line."""

    exit_code = 1


class OutputGone(Exception):
    """The reader of stdout has gone, as "head" does; the command ends without a message."""


def describe(error: BaseException) -> str:
    """Describe an exception in one line, with the place it comes from."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):  # its text names the place
        return text
    frames = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    # The place where the user's code calls ours, which only detected the mistake.
    theirs = [frame for frame in frames if not frame.filename.startswith(OWN_FOLDERS)] or frames
    return f"{text} ({theirs[-1].filename}, line {theirs[-1].lineno})"


def missing_extra(what: str, extra: str) -> Mistake:
    """Make the error for a feature whose extra is not installed."""
    return Mistake(f"{what} needs the extra {extra!r}: pip install 'wsframe[{extra}]'")


def only(kind: type[BaseException], group: BaseExceptionGroup[BaseException]) -> bool:
    """Return whether a group holds only exceptions of this kind."""
    return group.split(kind)[1] is None
