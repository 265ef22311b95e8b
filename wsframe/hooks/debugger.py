"""What ``debug=True`` does with an error."""

from __future__ import annotations

import pdb
import sys

__all__ = ["post_mortem"]


def post_mortem(error: Exception) -> None:
    """Enter the debugger where ``error`` was raised; without a terminal, raise it on.

    Raises:
        Exception: ``error`` itself, when nobody can type at a debugger.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise error
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    pdb.post_mortem(error.__traceback__)
