"""Servers that share resources: each partition has one owner, by a lease.

Read in this order:

* ``partition_owner``: whether a server shares resources with others at all, and its part that does.
* ``owned_partitions``: the partitions that it owns, from the request for their leases to their loss or return.
* ``giving`` gives them away.
* ``other_servers``: the partitions that each of them has; ``reports``: the messages between them.

How they meet: resources are placed by path into 256 partitions, and the backplane grants one lease of each. A server
acts for a partition while it holds the lease, by a clock that also runs while the process does not. It looks into
``OwnedPartitions`` before it starts a life or takes a newcomer. A lease that is over ends the lives of its partition
before anything that has waited goes on, so that no two servers act for the same path.

The way of a partition: free, asked for (at once where a newcomer wants it, else after a moment in which the preferred
server comes first), held, given away or lost. ``Giving`` moves partitions one at a time: it tells the others, has the
newcomers wait, ends the lives (``handover.predecessor``) and releases the lease, so that the next owner can acquire it.
Reports say about once a second which server has what. They save questions to the engine, and decide nothing: a report
that is late, lost or wrong costs one more question.

Nothing in here opens a connection: ``peers`` does.
"""
