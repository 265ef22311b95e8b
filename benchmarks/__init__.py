"""Measure the cost of a message for wsframe and for other servers: ``python -m benchmarks``.

* ``load/``: the load generator, in C. ``servers/``: one echo and broadcast server for each contestant.
* ``contestants``, ``scenarios``: the servers, and the loads.
* ``generator``, ``serving``: the two processes of a measurement. ``rounds``: many of them, interleaved.
* ``counts``: system calls and Python calls for each message. ``hops``: the calls on the way of one client, with files.
* ``results``: medians, and marks for doubtful ones. ``tables``, ``plots``, ``page``: the output.

``idle_clients.py`` and ``stalled_client.py`` each measure one property of wsframe alone, and so do
``stuck_connections`` (memory), ``floods`` (delays of others), ``deflate_memory``, ``rooms`` (memory) and
``waiting_keys``. ``passing``, ``relay`` and ``workers`` measure services of several processes.
"""
