"""The command line: ``wsframe COMMAND``, also as ``python -m wsframe COMMAND``.

What the user got wrong is one line on stderr and exit code 2; what fails later is one
line and exit code 1. ``program`` makes the parser and runs a command; each command is a
module of its name.
"""

from wsframe.cli.program import main, make_parser

__all__ = ["main", "make_parser"]
