"""What a message costs wsframe, and what it costs other servers: ``python -m benchmarks``.

* ``load/``: the load generator, in C. ``servers/``: one echo and broadcast server for each contestant.
* ``contestants``, ``scenarios``: who is measured, at what.
* ``generator``, ``serving``: the two processes of a measurement. ``rounds``: many of them, interleaved.
* ``counts``: system calls and Python calls for each message.
* ``results``: medians, and what is doubtful. ``tables``, ``plots``, ``page``: how they are shown.

``idle_clients.py`` and ``stalled_client.py`` measure one thing each, of wsframe alone.
"""
