"""Several processes that serve as one: who lives where, and how one takes over from another.

* ``rolling``: the supervisor's table of a rolling restart, without input or output.

Nothing in here knows clients or resources: sockets, descriptors and partitions have numbers.
"""
