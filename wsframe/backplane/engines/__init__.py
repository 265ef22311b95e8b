"""The part that all backplanes on a server such as Redis have in common.

Read in this order:

* ``engine``: such a server, as the supervision sees it: it makes links, each one connection.
* ``url``: its URL, taken apart so that no password can be shown.
* ``envelope``: the messages between nodes, as bytes; ``numbering``: the numbers by which nodes see holes.
* ``publications``: the messages that wait to be published, bounded.
* ``acquisition``: a request for leases, whose answer is never lost.
* ``session``: one connection, from its first probe to the first one that does not come back.
* ``supervised``: a backplane on an engine, one session after another.

Nothing in here knows Redis or PostgreSQL.
"""
