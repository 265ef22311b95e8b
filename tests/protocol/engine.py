"""The events of a stream in wsproto by itself, as our events."""

from __future__ import annotations

from wsproto.connection import CLIENT, SERVER, ConnectionState
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from wsframe.limits import DEFAULT_LIMITS, Limits, filled
from wsframe.protocol.close import CloseCode
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.frames import CLOSE, frame_extent, unmask
from wsframe.protocol.size_limits import SizeLimits

__all__ = ["reference"]


def reference(stream: bytes, limits: Limits, *, masked: bool = True) -> list[Event]:
    """Read a whole stream, up to its first close or failure, from a peer that masks or from a server.

    The code 1014 was registered after wsproto's list was made: it refuses a code that is taken here.
    """
    engine = Engine(SERVER if masked else CLIENT, [SizeLimits(filled(limits, DEFAULT_LIMITS))], stream)
    events: list[Event] = []
    text, data = "", b""
    for event in engine.events():
        if isinstance(event, TextMessage):
            text += event.data
            if event.message_finished:
                events.append(text)
                text = ""
        elif isinstance(event, BytesMessage):
            data += event.data
            if event.message_finished:
                events.append(data)
                data = b""
        elif isinstance(event, Ping):
            events.append(PingReceived(bytes(event.payload)))
        elif isinstance(event, Pong):
            events.append(PongReceived(bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            clean = engine.state is not ConnectionState.OPEN
            ended = Ended(int(event.code), (event.reason or "") if clean else "", clean)
            events.append(bad_gateway(stream) or ended if event.reason == UNKNOWN_CODE else ended)
            break
    return events


UNKNOWN_CODE = "CLOSE with unknown reserved code"


def bad_gateway(stream: bytes) -> Ended | None:
    """Read a refused close frame that ends a stream, or is followed by anything, if its code is 1014."""
    at = 0
    while stream[at] & 0x0F != CLOSE:
        at += sum(frame_extent(stream, at))
    header, length = frame_extent(stream, at)
    payload = stream[at + header : at + header + length]
    if stream[at + 1] & 0x80:
        payload = unmask(payload, stream[at + header - 4 : at + header])
    if int.from_bytes(payload[:2], "big") != CloseCode.BAD_GATEWAY:
        return None
    try:
        return Ended(1014, payload[2:].decode(), clean=True)
    except UnicodeDecodeError:
        return Ended(1007, "", clean=False)
