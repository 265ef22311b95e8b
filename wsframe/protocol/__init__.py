"""The WebSocket protocol with no I/O: bytes and times in, messages, bytes and deadlines out.

Reading order: ``frames`` (octets on the wire), ``close`` (codes and states), ``events``
(what came in), ``connection`` (one peer), ``keepalive`` (its deadlines), ``pool`` (all
peers and their deadlines), ``handshake`` (how one becomes a peer). ``hixie`` and
``challenge`` are the same for version 0, ``encoder`` is what differs in sending.
"""

from wsframe.protocol.close import CloseCode, State
from wsframe.protocol.decoder import Connection
from wsframe.protocol.pool import ConnectionPool

__all__ = ["CloseCode", "Connection", "ConnectionPool", "State"]
