"""The peer's side: bytes as a client sends them, made without the package's own encoder."""

from __future__ import annotations

from tests import client_frames
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended, Event

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "MASK", "PING", "PONG", "TEXT"]
__all__ += ["announce", "close", "connect", "feed", "frame", "receive", "settle"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = bytes.fromhex("a1b2c3d4")


def announce(
    opcode: int, length: int, *, fin: bool = True, reserved: int = 0, mask: bytes | None = MASK, form: int = 0
) -> bytes:
    """Make a frame header; ``form`` is the number of bytes of the extended length if not the shortest."""
    return client_frames.header((fin << 7) | (reserved << 4) | opcode, length, mask=mask, form=form or None)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = MASK,
    form: int = 0,
) -> bytes:
    """Make one frame of a client; without a mask it breaks RFC 6455 section 5.1."""
    first = (fin << 7) | (reserved << 4) | opcode
    return client_frames.frame(first, payload, mask=mask, form=form or None)


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Make a client's close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def connect(limits: Limits | None = None) -> Decoder:
    """Make a connection with these limits, the others at their defaults."""
    return Decoder(filled(limits or Limits(), DEFAULT_LIMITS), DEFAULT_TIMEOUTS, 0.0)


def receive(connection: Decoder, data: bytes, room: int = 1000) -> list[Event]:
    """Pass bytes as the reactor does, in a bytearray of their own."""
    return connection.receive(bytearray(data), room)


def feed(connection: Decoder, data: bytes, size: int = 1) -> list[Event]:
    """Pass bytes in pieces of ``size``; return all that came of it."""
    return [event for at in range(0, len(data), size) for event in receive(connection, data[at : at + size])]


def settle(data: bytes, limits: Limits | None = None) -> Ended:
    """Return the end that ``data`` brings about on a fresh connection; the only event there must be."""
    (ended,) = receive(connect(limits), data)
    assert isinstance(ended, Ended)
    return ended
