"""Standard streams that are closed, full, or read by nobody: no reason for a server to end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

__all__ = ["discard_output", "fill_gaps", "told"]


def fill_gaps() -> None:
    """Open what was closed when the process began: else a socket would get its number, and be written to."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def told(line: str, stream: TextIO) -> bool:
    """Print a line; return whether that was possible."""
    try:
        print(line, file=stream, flush=True)
    except (OSError, ValueError):
        discard_output(stream)
        return False
    return True


def discard_output(stream: TextIO) -> None:
    """Let a stream go nowhere from now on, with what is in its buffer: the interpreter's end would try it again."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
