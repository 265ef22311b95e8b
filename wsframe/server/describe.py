"""The one line about an error that keeps a server from its start."""

from __future__ import annotations

import contextlib
import os
from traceback import extract_tb

import trio

__all__ = ["describe"]

# Code that only detects mistakes in the user's code.
OWN_FOLDERS = (
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    os.path.join(os.path.dirname(trio.__file__ or ""), ""),
    os.path.join(os.path.dirname(contextlib.__file__), "contextlib.py"),
)


def describe(error: BaseException) -> str:
    """Describe an exception in one line, with the place it comes from."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):  # its text names the place
        return text
    frames = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    # The place where the user's code calls ours, which only detected the mistake.
    theirs = [frame for frame in frames if not frame.filename.startswith(OWN_FOLDERS)] or frames
    return f"{text} ({theirs[-1].filename}, line {theirs[-1].lineno})"
