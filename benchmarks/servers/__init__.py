"""The servers to measure, one program for each, all on the same :mod:`~benchmarks.servers.terms`.

The interpreter that has its packages runs each server; by hand, use ``python -m
benchmarks.servers.serve_wsframe --port 8000``. A server echoes at ``/echo``, and sends each message
at ``/broadcast`` to all clients there, the sender included. Compression and keepalive are off.
"""
