"""Servers that share resources: each partition has one owner, by a lease.

Read in this order:

* ``owning``: whether a server shares resources with others at all.
* ``tenure``: the partitions that it owns.
* ``giving`` gives them away.
* ``neighbors``: the other servers; ``reports``: the messages between them.

Nothing in here opens a connection: ``peers`` does.
"""
