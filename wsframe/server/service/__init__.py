"""A service: several workers under a supervisor, and a worker's side of that.

Read in this order:

* ``service``: ``run`` with several workers.
* ``supervised_worker``: a worker's side; ``orphan`` ends one that outlives its supervisor.
* ``generation``: a worker's part in a rolling restart.

How they meet: ``run(workers=N)`` in the parent process becomes the supervisor, which binds, starts workers and passes
signals on. Each worker is a server like that of one process, with doors to the others, a board of shared numbers and
a relay for topics. In a rolling restart each slot has two workers for a while: the new one is ready and accepts, and
begins a partition once the old one has left it.

The supervisor itself is in the room ``workers``.
"""
