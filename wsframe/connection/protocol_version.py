"""The differences between versions of the WebSocket protocol once the 101 is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wsframe.connection.outbox import Outbox
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension, Terms

if TYPE_CHECKING:
    from wsframe.limits import Limits, Timeouts
    from wsframe.protocol.close import State
    from wsframe.protocol.deadlines import Deadlines
    from wsframe.protocol.encoder import Encoder
    from wsframe.protocol.events import Event
    from wsframe.protocol.size_limits import Check

__all__ = ["RFC_6455", "AnyDecoder", "ProtocolVersion"]


class AnyDecoder(Protocol):
    """The receiving side of a connection, as :class:`Decoder` does it for RFC 6455."""

    state: State
    deadlines: Deadlines
    stopped: bool
    special: bool
    byte_count: int
    undecoded: int

    def ask(self, check: Check) -> None: ...
    def lone_ping(self, data: bytearray) -> bytes | None: ...
    def receive(self, data: bytearray, room: int) -> list[Event]: ...
    def close(self) -> list[Event]: ...
    def eof(self) -> list[Event]: ...


class ProtocolVersion(NamedTuple):
    """One way to read and write a connection; a newcomer's handshake decides which."""

    outbox: type[Outbox]
    decoder: Callable[[Limits, Timeouts, float, Terms | None], AnyDecoder]
    encoder: Callable[[Deflate | None, Terms | None], Encoder | None]
    """Makes the encoder of one client; None sends plain frames of RFC 6455."""
    has_pings: bool
    """Whether silence can be probed with pings. Without them the kernel probes the peer, and C,
    which reads frames of RFC 6455 alone, must not read the socket."""


def make_decoder(limits: Limits, timeouts: Timeouts, now: float, terms: Terms | None) -> Decoder:
    inflate = None if terms is None else InflateExtension(terms, limits.max_message)
    return Decoder(limits, timeouts, now, inflate)


def make_encoder(deflate: Deflate | None, terms: Terms | None) -> Encoder | None:
    return None if terms is None or deflate is None else Deflater(terms, deflate)


RFC_6455 = ProtocolVersion(Outbox, make_decoder, make_encoder, has_pings=True)
"""Version 13, and the drafts 7 and 8, whose frames are the same."""
