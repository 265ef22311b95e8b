"""Outgoing connections: we are the client, on trio.

Read in this order: ``exceptions``, ``hosts`` (names and addresses), ``url`` (the parts of a URL), ``proxy``
(which proxy is used), ``options``, ``check_options``,
``retrying`` (which failures may pass), ``tunnel`` (through a proxy), ``opening`` (from a URL to the 101), ``link`` with
``writer`` and ``leaving`` (one connection's state and tasks), ``websocket`` (the object that users
call), ``connector`` (all of these together), ``connect`` and ``reconnect`` (a connection's life).
"""
