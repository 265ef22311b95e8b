"""The slow lane: wsproto decodes the frames that the fast lane leaves.

These are compressed messages in pieces, frames larger than the limits, frames that break a rule, a message in
fragments from the first of these on, and every data frame of a client whose resource checks headers.
wsproto gets one frame at a time, so that the first one after it can be for the fast lane again.

wsproto is never used to send, so none of its errors about the order of calls can occur, and no
private attribute of it is read.
"""

from __future__ import annotations

import sys
from codecs import utf_8_decode
from io import StringIO

from wsproto.connection import CLIENT, SERVER
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.events import Event as EngineEvent
from wsproto.extensions import Extension

from wsframe.limits import Limits
from wsframe.protocol.close import INVALID_DEFLATE, PHRASES, CloseCode
from wsframe.protocol.deflate import InflateExtension
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.fast_lane import read_control
from wsframe.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    LONGEST_HEADER,
    MAX_CONTROL_PAYLOAD,
    PING,
    PONG,
    RSV1,
    TEXT,
    frame_extent,
)  # fmt: skip
from wsframe.protocol.size_limits import Check, SizeLimits

__all__ = ["Assembler", "SlowLane", "broken_rule", "may_be_close"]

ANY_SIZE = Limits(max_message=sys.maxsize, max_frame=None, max_fragments=sys.maxsize)

RESERVED = 0x70
DATA = frozenset({TEXT, BINARY})
CONTROL = frozenset({CLOSE, PING, PONG})

BEYOND_ASCII = "\xe9".__sizeof__() - 2
"""The memory of a text beyond ASCII, less that of its characters and a last one that says nothing."""


class Assembler:
    """Joins the pieces of the message that is arriving; wsproto splits it at frames and at reads."""

    __slots__ = ("_pieces", "_width")

    def __init__(self) -> None:
        self._pieces: StringIO | bytearray | None = None
        self._width = 1
        """Bytes that each character takes: of one text all take as many as the one that needs most."""

    @property
    def begun(self) -> bool:
        """Whether a message has begun and is not whole yet."""
        return self._pieces is not None

    @property
    def weight(self) -> int:
        """The bytes held."""
        pieces = self._pieces
        return 0 if pieces is None else pieces.tell() * self._width if isinstance(pieces, StringIO) else len(pieces)

    def add(self, piece: str | bytes | bytearray, *, last: bool) -> str | bytes | None:
        """Add a piece; return the message if this was its last."""
        if self._pieces is None:
            self._pieces = StringIO() if isinstance(piece, str) else bytearray()
            self._width = 1
        pieces = self._pieces
        if isinstance(pieces, StringIO):
            assert isinstance(piece, str)
            pieces.write(piece)
            if not piece.isascii():
                self._width = max(self._width, (piece.__sizeof__() - BEYOND_ASCII) // (len(piece) + 1))
        else:
            assert not isinstance(piece, str)
            pieces += piece
        if not last:
            return None
        self._pieces = None
        return pieces.getvalue() if isinstance(pieces, StringIO) else bytes(pieces)


class SlowLane:
    """One peer's frames through wsproto, as long as a frame or a message is half done.

    Args:
        limits: Sizes of frames and messages.
        check: Asked about each data frame once its header is known.
        inflate: The extension, if the peers agreed on compression. Its state outlives the lane.
        masked: Whether the peer masks its frames.
    """

    __slots__ = ("_close", "_engine", "_head", "_inflate", "_masked", "_message", "_owed", "_prefix", "_sizes")

    def __init__(self, limits: Limits, check: Check | None, inflate: InflateExtension | None, *, masked: bool) -> None:
        self._masked = masked
        self._inflate = inflate
        self._sizes = SizeLimits(limits, check)
        extensions: list[Extension] = [self._sizes, inflate] if inflate else [self._sizes]
        self._engine = Engine(SERVER if masked else CLIENT, extensions)
        self._message = Assembler()
        self._owed = 0
        """Bytes to come of the frame whose header is known."""
        self._prefix = b""
        """The bytes so far of a header that is not whole."""
        self._head = b""
        """The header of the current frame, with the bytes after it."""
        self._close: bytes | None = None
        """The bytes so far of a close frame that is not whole."""

    @property
    def done(self) -> bool:
        """Whether it is between messages, with no state worth keeping."""
        return not self._owed and not self._prefix and not self._message.begun

    @property
    def weight(self) -> int:
        """The bytes held of the message that has begun."""
        return self._message.weight

    @property
    def unread(self) -> tuple[bytes, int]:
        """The bytes and the number of bytes to come with which a search for a close frame begins."""
        return (self._prefix, self._owed) if self._close is None else (self._close, 0)

    def ask(self, check: Check) -> None:
        """Ask another check about the frames to come."""
        self._sizes.check = check

    def take_over(self, kind: int, payload: bytearray, fragments: int, owed: int, mask: bytes, *, fin: bool) -> None:
        """Go on with a message that has begun, as if wsproto had read it from its first frame on.

        Args:
            kind: Its opcode.
            payload: Its bytes so far; of a text they are valid, as far as they go.
            fragments: Its frames so far, the one that is not whole included.
            owed: Bytes to come of that frame; 0 between two frames.
            mask: The mask of the next of them on.
            fin: Whether that frame is the last.
        """
        text, used = utf_8_decode(payload, "strict", False) if kind == TEXT else ("", len(payload))
        self._message.add(text if kind == TEXT else bytes(payload), last=False)
        check, limits, self._sizes.check, self._sizes.limits = self._sizes.check, self._sizes.limits, None, ANY_SIZE
        self._tell(kind, bytes(payload[used:]), bytes(4))
        if owed:
            self._owed = owed
            self._tell(FIN if fin else 0, b"", mask, owed)
        sizes = self._sizes
        sizes.check, sizes.limits, sizes.most = check, limits, limits.max_message
        sizes.byte_count, sizes.fragments = len(payload), fragments - (owed > 0)

    def _tell(self, first: int, payload: bytes, mask: bytes, more: int = 0) -> None:
        """Have wsproto read a frame, of which ``more`` bytes are to come."""
        length = len(payload) + more
        bit = 0x80 if self._masked else 0
        size = length if length < 126 else 126 if length < 65536 else 127
        form = b"" if size < 126 else length.to_bytes(2 if size == 126 else 8, "big")
        self._engine.receive_data(bytes([first, bit | size]) + form + (mask if self._masked else b"") + payload)
        for event in self._engine.events():
            self._convert(event)

    def feed(self, data: bytearray, at: int) -> tuple[int, list[Event]]:
        """Take one frame from ``at`` on, or as much of it as is there; of a compressed one, as much as can be inflated.

        Returns:
            The position after it, and the messages and events that it completes.
        """
        if not self._owed:
            self._begin_frame(data, at)
        stop = len(data) if self._prefix else min(at + self._owed, len(data))
        if self._inflate is not None:
            stop = min(stop, at + self._inflate.at_once)
        if self._owed:
            self._owed -= stop - at
        piece = bytes(data[at:stop])
        if self._close is not None:
            self._close += piece
            return stop, [] if self._owed else [self._read_close(self._close)]
        self._engine.receive_data(piece)
        found = [self._convert(event) for event in self._engine.events()]
        return stop, [event for event in found if event is not None]

    def _begin_frame(self, data: bytearray, at: int) -> None:
        head = self._head = self._prefix + data[at : at + LONGEST_HEADER]
        header, length = frame_extent(head, 0)
        if header:
            self._owed = header + length - len(self._prefix)
            self._close = self._prefix if may_be_close(head, masked=self._masked) else None
            self._prefix = b""
        else:
            # wsproto gets it all the same: two bytes can be enough to refuse.
            self._prefix = head

    def _read_close(self, frame: bytes) -> Event:
        """Read a close frame once it is whole. wsproto does not see it: it knows fewer codes."""
        control = read_control(bytearray(frame), 0, self._masked)
        assert control is not None
        return control[0]

    def _convert(self, event: EngineEvent) -> Event | None:
        """Turn an event of wsproto into a message or an event of ours."""
        if isinstance(event, TextMessage | BytesMessage):
            return self._message.add(event.data, last=event.message_finished)
        if isinstance(event, Ping):
            return PingReceived(bytes(event.payload))
        if isinstance(event, Pong):
            return PongReceived(bytes(event.payload))
        assert isinstance(event, CloseConnection)
        return self._violation(event)

    def _violation(self, event: CloseConnection) -> Ended:
        """Name the rule that the peer broke: wsproto reports a violation as a close."""
        code = int(event.code)
        for extension in (self._sizes, self._inflate):
            if extension is not None and extension.refusal is not None:
                return Ended(*extension.refusal, clean=False, answer=extension.refusal[0], owed=True)
        phrase = PHRASES.get(CloseCode(code), "")
        if code == CloseCode.INVALID_PAYLOAD and event.reason == "error in extension":
            phrase = INVALID_DEFLATE
        elif code == CloseCode.PROTOCOL_ERROR:
            begun, compressed = self._message.begun, self._inflate is not None
            phrase = broken_rule(self._head, masked=self._masked, begun=begun, compressed=compressed)
        return Ended(code, phrase, clean=False, answer=code, owed=True)


def may_be_close(head: bytes | bytearray, *, masked: bool) -> bool:
    """Return whether a whole header belongs to a close frame and keeps to the rules."""
    return head[0] == FIN | CLOSE and head[1] >> 7 == masked and head[1] & 0x7F <= MAX_CONTROL_PAYLOAD


def broken_rule(head: bytes | bytearray, *, masked: bool, begun: bool, compressed: bool) -> str:
    """Name the rule of RFC 6455 section 5 that a frame breaks.

    Args:
        head: The header of the frame, as much as has come.
        masked: Whether the peer masks its frames.
        begun: Whether a message has begun, of which this is not the first frame.
        compressed: Whether RSV1 is allowed (RFC 7692 section 6).
    """
    if len(head) < 2:
        return "protocol error"
    opcode, length = head[0] & 0x0F, head[1] & 0x7F
    reserved = head[0] & RESERVED & ~(RSV1 if compressed and opcode in DATA else 0)
    rules = (
        (opcode not in DATA | CONTROL | {CONTINUATION}, f"unknown opcode {opcode}"),
        (opcode in CONTROL and not head[0] & FIN, "a control frame in fragments"),
        (opcode in CONTROL and length > MAX_CONTROL_PAYLOAD, "a control frame above 125 bytes"),
        (reserved, "reserved bits are set"),
        (masked and not head[1] & 0x80, "a frame without a mask"),
        (not masked and head[1] & 0x80, "a frame with a mask"),
        (opcode == CONTINUATION and not begun, "a continuation without a message"),
        (opcode in DATA and begun, "a message inside another"),
        (length > MAX_CONTROL_PAYLOAD, "a length that is not written the shortest way, or above 2**63 - 1"),
    )
    return next((rule for broken, rule in rules if broken), "protocol error")
