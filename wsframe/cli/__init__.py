"""The command line: ``wsframe COMMAND``, also as ``python -m wsframe COMMAND``.

A mistake of the user is one line on stderr and exit code 2; a later failure is one line and
exit code 1.

* ``program`` makes the parser and runs a command; ``arguments``, ``options`` and ``errors`` are shared.
* One module for each command: ``serve``, ``routes``, ``asyncapi``, ``top``, ``connect``, ``bench``, ``completion``.
* ``serve`` uses ``target`` (which program is served), ``reload`` with ``supervised`` (restarts), ``admin``
  (the socket that ``top`` asks).
* ``connect`` uses ``chat``, ``input_lines``, ``terminal`` and ``connect_options``; ``bench`` uses ``histogram``.
* ``tables`` prints tables; ``streams`` bears with output that is closed, full or read by nobody.
"""

from wsframe.cli.program import main, make_parser

__all__ = ["main", "make_parser"]
