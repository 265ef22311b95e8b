"""The care around user code: its errors, and the scopes it leaves open, cost its client and never the server.

* ``program``: the server around user code, for errors there that end it.
* ``locked_scope``: scopes that are locked for a moment, in tasks that have not started yet.
* ``errors``: which errors pass, which end the program and which cost a client; scopes and nurseries left open.
* ``protected_nursery``: nurseries that user code cannot cancel.
* ``finalizers``: scopes left open where the collector of cyclic garbage happens to run.

Read them in this order. All rooms use this one, and it knows none of them.
"""
