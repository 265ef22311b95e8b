"""What wsproto makes of a stream by itself, as our events."""

from __future__ import annotations

from wsproto.connection import CLIENT, SERVER, ConnectionState
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from wsframe.limits import DEFAULT_LIMITS, Limits, filled
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.size_limits import SizeLimits

__all__ = ["reference"]


def reference(stream: bytes, limits: Limits, *, masked: bool = True) -> list[Event]:
    """Read a whole stream, up to its first close or failure, from a peer that masks or from a server."""
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
            events.append(Ended(int(event.code), (event.reason or "") if clean else "", clean))
            break
    return events
