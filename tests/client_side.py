"""A client whose kernel takes as much as the test lets it take, and a decoder of those bytes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, cast

import wsframe
from tests.wire import CONTINUATION, PING, PONG, RSV1, Frame, decode
from wsframe.connection.flusher import Flusher
from wsframe.connection.memory_budget import Budget
from wsframe.connection.outbox import Outbox
from wsframe.http.deflate_terms import negotiate
from wsframe.limits import Overflow
from wsframe.protocol.deflate import Deflate, Deflater, Terms


class Line:
    """The wire below an outbox: a kernel of ``space`` bytes, None for any number."""

    def __init__(self, space: int | None = None) -> None:
        self.space = space
        self.sent = bytearray()
        self.told: list[str] = []

    def send(self, data: bytes | memoryview) -> int:
        taken = len(data) if self.space is None else min(self.space, len(data))
        if not taken:
            raise BlockingIOError
        self.sent += data[:taken]
        if self.space is not None:
            self.space -= taken
        return taken

    def blocked(self, *, progress: bool) -> None:
        self.told.append("blocked")

    def unblocked(self) -> None:
        self.told.append("unblocked")

    def emptied(self) -> None:
        self.told.append("emptied")

    def broken(self) -> None:
        self.told.append("broken")

    def overflowed(self) -> None:
        self.told.append("overflowed")


class Sending:
    """A client, its outbox and its line."""

    def __init__(
        self,
        *,
        terms: Terms | None = None,
        options: Deflate | None = None,
        space: int | None = None,
        limit: int = 1 << 20,
        overflow: Overflow = "disconnect",
    ) -> None:
        self.line = Line(space)
        self.flusher = Flusher(Budget(1 << 30))
        self.outbox = Outbox(self.line.send, self.line, limit, overflow, self.flusher)
        deflater = None if terms is None or options is None else Deflater(terms, options)
        nothing = cast(Any, None)
        self.client: wsframe.Client = wsframe.Client(nothing, self.outbox, nothing, nothing, None, None, deflater)

    @property
    def held(self) -> int:
        return self.flusher.budget.held

    def take(self, size: int | None = None) -> None:
        """Have the kernel take so much, or everything."""
        self.line.space = size
        self.outbox.flush()

    def messages(self, *, bits: int = 15, takeover: bool = False) -> list[bytes]:
        """Decode all that was sent."""
        assert not self.outbox.items
        return read_messages(decode(bytes(self.line.sent)), bits=bits, takeover=takeover)


def offered(options: Deflate, offer: str = "permessage-deflate; client_max_window_bits") -> Mapping[str, Any]:
    """Return the terms with which a :class:`Sending` compresses."""
    return {"terms": negotiate([offer], options), "options": options}


def read_messages(frames: list[Frame], *, bits: int = 15, takeover: bool = False) -> list[bytes]:
    """Decode messages as a strict client does that agreed on a window, and on context takeover or none."""
    messages: list[bytes] = []
    payload, compressed, inside = b"", False, False
    inflater = zlib.decompressobj(-bits)
    for one in frames:
        if one.opcode in (PING, PONG):
            continue
        assert (one.opcode == CONTINUATION) is inside
        assert not (inside and one.reserved & RSV1)
        if not inside:
            payload, compressed = b"", bool(one.reserved & RSV1)
        payload += one.payload
        inside = not one.fin
        if inside:
            continue
        if compressed:
            inflater = inflater if takeover else zlib.decompressobj(-bits)
            payload = inflater.decompress(payload + b"\x00\x00\xff\xff")
            assert not inflater.unused_data
        messages.append(payload)
    assert not inside
    return messages
