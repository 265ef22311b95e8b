"""Version 0 of the protocol, hixie-76 (later hybi-00), spoken by browsers of 2010 and 2011.

Read in this order: ``handshake``, ``decoder``, ``outbox``.
``HIXIE_76`` is the ``ProtocolVersion`` that the server picks for such a newcomer. Nothing else in wsframe
imports this room but ``server/newcomers/greeting``, so that it can be deleted whole.
"""

from __future__ import annotations

from wsframe.connection.protocol_version import ProtocolVersion
from wsframe.hixie76.decoder import HixieDecoder
from wsframe.hixie76.outbox import HixieEncoder, HixieOutbox

__all__ = ["HIXIE_76"]

HIXIE_76 = ProtocolVersion(
    HixieOutbox,
    lambda limits, timeouts, now, terms: HixieDecoder(limits, timeouts, now),
    lambda deflate, terms: HixieEncoder(),
    has_pings=False,
)
