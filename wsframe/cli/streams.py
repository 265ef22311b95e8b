"""Standard streams that are closed, full or unread must not end a server."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from logging import ERROR
from typing import TextIO

from wsframe.net.standard_streams import fill_descriptors
from wsframe.server.logs.json_stderr import report

__all__ = ["complain", "discard_output", "fill_gaps", "print_line"]


def fill_gaps() -> None:
    """Open the standard streams that are closed."""
    fill_descriptors()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def complain(line: str, prefix: str = "wsframe", level: int = ERROR) -> None:
    """Write a line about the command to stderr, as text or as JSON."""
    if not report("wsframe.cli", level, line):
        print_line(f"{prefix}: {line}", sys.stderr)


def print_line(line: str, stream: TextIO) -> bool:
    """Print a line and return whether that succeeded."""
    try:
        print(
            f"{line}\n", end="", file=stream, flush=True
        )  # one write, also where Python does not buffer: others write
    except (OSError, ValueError):
        discard_output(stream)
        return False
    return True


def discard_output(stream: TextIO) -> None:
    """Discard the output of a stream and its buffer, which the interpreter would try to write when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
