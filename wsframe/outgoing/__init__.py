"""Outgoing connections: we are the client, on trio.

Reading order: ``hosts`` (names and addresses), ``target`` (what a URL names), ``proxies``
(which proxy is asked), ``options``, ``transport`` (a socket with TLS or without),
``retrying`` (which failures may pass), ``tunnels`` (through a proxy), ``opening`` (from a URL
to the 101), ``link`` (one connection's state and tasks), ``websocket`` (what users call),
``connector`` (all of these together), ``connecting`` and ``reconnecting`` (a connection's life).
"""
