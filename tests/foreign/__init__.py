"""Clients, servers and proxies of other makers, each a small program in its own language, against wsframe.

A program is called with ``client`` and URLs, which it visits in turn, or with ``server``. A client
prints a line for each URL: ``closed CODE REASON``, or ``refused STATUS``. A server prints
``listening PORT``, then the line for each connection as it ends. It serves ``/echo`` and refuses other
paths with 403.

In both roles a program sends each message back, but for these texts:

- ``!close CODE REASON``: it closes with them.
- ``!ping``: it pings with ``there?`` and says ``pong`` and the payload of the pong.
- ``!fragments``: it says ``in three parts`` in several frames.

Where its library cannot do one of the last two, it says ``cannot``.
"""
