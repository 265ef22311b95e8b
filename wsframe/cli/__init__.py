"""The command line: ``wsframe COMMAND``, also as ``python -m wsframe COMMAND``.

A mistake of the user prints one line on stderr and ends with exit code 2; a later failure prints
one line and ends with exit code 1.

* ``program`` makes the parser and runs a command; ``arguments`` and ``errors`` are shared.
* One module for each command: ``new`` (with its files in ``project/``), ``serve``, ``restart``, ``rebalance``,
  ``routes``, ``asyncapi``, ``top``, ``connect``, ``bench``, ``completion``.
* ``serve`` uses ``target`` (the program to serve), ``listen_options`` (addresses, TLS), ``limit_options`` (a flag for
  each limit and timeout), ``cluster_options`` (several machines), ``reload`` with ``reloaded`` (restarts), ``workers``
  (several processes), ``admin`` (the socket that ``top`` queries).
* ``connect`` uses ``chat``, ``input_lines``, ``terminal`` and ``connect_options``; ``bench`` uses ``histogram``.
* ``tables`` prints tables; ``streams`` tolerates output that is closed, full or unread.
"""

from wsframe.cli.program import main, make_parser

__all__ = ["main", "make_parser"]
