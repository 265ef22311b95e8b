"""The server: bind, accept, admit, drain.

Read in this order:

* ``run``: ``serve``, ``open_server`` and ``run``, the ways to start.
* ``server``: one running server, from its sockets to the end of its drain.
* ``listen``: binding, and the tasks that accept.
* ``admission``: one newcomer on its way from ``accept`` to the 101; ``decide`` asks user code about it.
* ``capacity``: how many clients there may be. ``statistics``, ``health``: reports about a server.

Nothing in here decodes frames or calls hooks of connected clients.
"""
