"""Frames and messages as a client makes and reads them.

They do not use wsproto: a decoder of their own finds mistakes of the encoder under test.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from wsframe.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    frame_extent,
    header,
    is_control,
    unmask,
)

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "Compression", "Frame", "Reader", "masked"]

MASK_BIT = 0x80
# The same in every run: no test needs a random mask.
MASK = b"\x12\x34\x56\x78"
TAIL = b"\x00\x00\xff\xff"
RESERVED = 0x70


class Frame(NamedTuple):
    """A frame as the server sent it."""

    opcode: int
    """0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong."""
    payload: bytes
    """The payload as sent; compressed if the message is."""
    fin: bool = True
    """Whether the frame ends its message."""
    rsv1: bool = False
    """On a message's first frame: whether the message is compressed."""


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Make a client's frame, without checking anything."""
    head = bytearray(header(opcode | FIN * fin | RSV1 * rsv1, len(payload)))
    head[1] |= MASK_BIT
    return bytes(head) + MASK + unmask(payload, MASK)


class Compression:
    """The compression that client and server agreed on, and the client's two contexts (RFC 7692).

    Args:
        answer: The value of Sec-WebSocket-Extensions in the 101.
    """

    def __init__(self, answer: str) -> None:
        name, *parameters = (part.strip(" \t") for part in answer.split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        assert name == "permessage-deflate", f"the server accepted an extension that was not offered: {answer!r}"
        self._bits = int(values.get("client_max_window_bits") or 15)
        self._keep_ours = "client_no_context_takeover" not in values
        self._keep_theirs = "server_no_context_takeover" not in values
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None

    def deflate(self, payload: bytes) -> bytes:
        """Compress a message."""
        # zlib has no raw window of 256 bytes; with 256, the output for a window of 512 could not be read.
        deflater = self._deflater or zlib.compressobj(wbits=-max(self._bits, 9))
        self._deflater = deflater if self._keep_ours else None
        return deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)[: -len(TAIL)]

    def inflate(self, payload: bytes) -> bytes:
        """Decompress a message."""
        inflater = self._inflater or zlib.decompressobj(-15)
        self._inflater = inflater if self._keep_theirs else None
        return inflater.decompress(payload + TAIL)


class Reader:
    """Decodes the server's frames; raises AssertionError for a frame that no server is allowed to send."""

    def __init__(self, compression: Compression | None) -> None:
        self._compression = compression
        self._data = bytearray()
        self._pieces: list[Frame] = []

    def receive(self, data: bytes) -> list[tuple[Frame, str | bytes | None]]:
        """Take bytes and return the frames they complete, each with the message it completes."""
        self._data += data
        found: list[tuple[Frame, str | bytes | None]] = []
        while True:
            size, length = frame_extent(self._data, 0)
            if not size or len(self._data) < size + length:
                return found
            frame = self._check(bytes(self._data[:2]), bytes(self._data[size : size + length]))
            del self._data[: size + length]
            found.append((frame, None if is_control(bytes((frame.opcode,))) else self._assemble(frame)))

    def _check(self, head: bytes, payload: bytes) -> Frame:
        frame = Frame(head[0] & 0x0F, payload, bool(head[0] & FIN), bool(head[0] & RSV1))
        known = frame.opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        assert known, f"the server sent a frame with opcode {frame.opcode}"
        assert not head[1] & MASK_BIT, "the server sent a masked frame"
        allowed = RSV1 if self._compression is not None and frame.opcode in (TEXT, BINARY) else 0
        assert not head[0] & RESERVED & ~allowed, f"the server sent a frame with reserved bits: {head[0]:#x}"
        continues = frame.opcode == CONTINUATION
        assert is_control(head) or continues == bool(self._pieces), "the server mixed frames of two messages"
        return frame

    def _assemble(self, frame: Frame) -> str | bytes | None:
        self._pieces.append(frame)
        if not frame.fin:
            return None
        first, payload = self._pieces[0], b"".join(piece.payload for piece in self._pieces)
        self._pieces.clear()
        if first.rsv1 and self._compression is not None:
            payload = self._compression.inflate(payload)
        return payload.decode() if first.opcode == TEXT else payload
