"""The servers that are measured, one program for each, all on the same :mod:`~benchmarks.servers.terms`.

Each is run by the interpreter that has what it needs, by hand with ``python -m
benchmarks.servers.serve_wsframe --port 8000``. It echoes at ``/echo`` and sends what it gets at
``/broadcast`` to all who are there, the sender included. Compression and keepalive are off.
"""
