"""A service: several workers under a supervisor, and a worker's side of that.

Read in this order:

* ``service``: ``run`` with several workers.
* ``supervised_worker``: a worker's side; ``orphan`` ends one that outlives its supervisor.
* ``generation``: a worker's part in a rolling restart.

The supervisor itself is in the room ``workers``.
"""
