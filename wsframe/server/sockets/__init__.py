"""Listening sockets.

Read in this order:

* ``addresses``: the addresses of a server, read from text.
* ``bind`` binds them, ``activation`` takes them from systemd.
* ``listen``: the tasks that accept.

Nothing in here reads a byte of a newcomer.
"""
