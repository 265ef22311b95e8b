"""permessage-deflate (RFC 7692): messages compressed, and inflated within the limits.

wsproto's extension inflates without a bound: 64 KiB on the wire become one event of 64 MiB.
This one shares nothing with it but the interface. ``http.deflate_terms`` negotiates the terms.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple, cast

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from wsframe.limits import check_number
from wsframe.protocol.frames import RSV1, Frame, message_frames

__all__ = ["COST_OF_TURN", "LEAST_BITS", "Deflate", "Deflater", "InflateExtension", "Terms", "Volume"]

# Bytes of its window that a compressor does not refer to (MIN_LOOKAHEAD of zlib).
LOOK_AHEAD = 262
# The bytes that a compressor's flush appends to each message and the sender leaves out (section 7.2.1).
TAIL = b"\x00\x00\xff\xff"

COMPRESSED = RsvBits(True, False, False)
PLAIN = RsvBits(False, False, False)

# zlib has no raw compressor with a window of 256 bytes.
LEAST_BITS = 9

# An empty block that ends the stream.
LAST_BLOCK = b"\x01\x00\x00\xff\xff"

# A stream that ends takes the time of many bytes and costs its sender two. Senders that end one with each flush end
# one in a frame; several are allowed, but not as many as make the frame a burden.
STREAMS = 16
PER_STREAM = 1024
"""Bytes of a frame that allow one more stream to end."""

# Bytes inflated in one turn of a connection, or work that takes as long: about a millisecond.
COST_OF_TURN = 1024 * 1024
# A byte received that inflates to nothing still takes time: blocks that are little but their tables 0.1 us.
COST_OF_ONE = 64
COST_OF_STREAM = 16 * 1024
SLICE = COST_OF_TURN // COST_OF_ONE
MOST_FROM_ONE = 1032
"""Bytes that deflate makes at most of one (zlib's technical details)."""

# Bytes at the beginning of a message that show whether its sender keeps a context: stood they in an earlier message,
# a compressor that still has it refers there.
SAMPLE = 16
STORED = 0
"""The type of a block that is not compressed; it refers to nothing."""

# Bytes inflated in one go. zlib's output is joined from blocks, which takes the memory of
# a piece twice: in small pieces a bomb costs the message limit, in one it cost twice that.
PIECE = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Deflate:
    """Compression of messages (permessage-deflate); make one with :meth:`shared` or :meth:`dedicated`.

    Raises:
        TypeError: For a field that is not an int, or another mode.
        ValueError: For a number out of its range.
    """

    mode: Literal["shared", "dedicated"] = "shared"
    """``"shared"``, the default, compresses each message by itself; ``"dedicated"`` costs memory for each client."""
    window_bits: int = 15
    """The window is 2 to this many bytes, on both sides if the peer can; 9 to 15, default 15. Less finds less."""
    mem_level: int = 8
    """Memory of a compressor, 1 to 9: 2 to (level + 9) bytes; default 8. A lower one is slower, and finds less."""
    level: int = 3
    """Time spent on finding matches, 1 to 9; default 3. -1 is zlib's own default, 6, which takes twice as long."""
    threshold: int = 256
    """Messages below this many bytes are sent uncompressed; default 256: shorter ones hardly shrink."""

    def __post_init__(self) -> None:
        if self.mode not in ("shared", "dedicated"):
            raise TypeError(f"Deflate.mode must be one of shared, dedicated, not {self.mode!r}")
        for name, least, most in (("window_bits", 9, 15), ("mem_level", 1, 9), ("level", -1, 9)):
            check_number(f"Deflate.{name}", getattr(self, name), "int", -inf)
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"Deflate.{name} must be from {least} to {most}, not {getattr(self, name)!r}")
        check_number("Deflate.threshold", self.threshold, "int", 0)

    @classmethod
    def shared(cls, *, window_bits: int = 15, mem_level: int = 8, level: int = 3, threshold: int = 256) -> Deflate:
        """Compress each message by itself: no memory per client, and a broadcast is compressed once.

        Of 16 KiB level 3 makes 7 to 11 % more than level 6, in half of the time. Level 6 pays in large broadcasts.
        Some clients that offer no parameters (Mojolicious) go on compressing with their context although
        the server asked them for none. wsframe reads that too: of such a client it holds the last
        32 KiB at most that it sent compressed, until a message shows that it does as it was asked.
        """
        return cls(mode="shared", window_bits=window_bits, mem_level=mem_level, level=level, threshold=threshold)

    @classmethod
    def dedicated(cls, *, window_bits: int = 12, mem_level: int = 5, level: int = 6, threshold: int = 64) -> Deflate:
        """Compress with each client's earlier messages in view: smaller, for memory per client.

        A client that was sent something compressed costs 2 to (``window_bits`` + 2) bytes, 2 to
        (``mem_level`` + 9) and 6 KiB; one that has sent something, 2 to ``window_bits`` more. With
        the defaults 47 KiB were measured for a browser, 308 with ``window_bits=15, mem_level=8``
        and 16 with ``window_bits=10, mem_level=3``. The compressor, which is most of that, goes with
        each ping to a silent client: its next message refers to no earlier one, and with the defaults
        7 KiB are left. A client that cannot be held to the window (it does not offer
        ``client_max_window_bits``) is asked to keep no context, and costs 40; if it keeps one all the
        same, 32 more.
        """
        return cls(mode="dedicated", window_bits=window_bits, mem_level=mem_level, level=level, threshold=threshold)


class Terms(NamedTuple):
    """The parameters that both sides agreed on."""

    server_bits: int
    client_bits: int
    server_takeover: bool
    client_takeover: bool
    answer: str
    """The value of Sec-WebSocket-Extensions in the 101."""
    told: bool = False
    """Whether we asked the client to keep no context, which it has perhaps not heard."""


class Volume:
    """How much has been compressed or inflated."""

    __slots__ = ("packed", "plain")

    def __init__(self) -> None:
        self.plain: int = 0
        """Bytes of messages."""
        self.packed: int = 0
        """The same, compressed."""


class InflateExtension(Extension):
    """Inflates the messages of one peer, up to the message limit.

    Between messages it holds the window alone: an inflater costs 7 KiB beside it, and is made
    again for the next message. So each message ends its stream, and one that is broken off
    inside a block shows.

    Args:
        terms: The parameters agreed on.
        max_message: Bytes that a message can have when inflated.
    """

    name = "permessage-deflate"

    def __init__(self, terms: Terms, max_message: int) -> None:
        self.terms = terms
        self._max_message = max_message
        self._inflater: zlib._Decompress | None = None
        self.window: bytes = b""
        self.volume: Volume = Volume()
        """Counts the messages; one for many clients, where somebody put it here."""
        self._holds = terms.client_takeover or terms.told
        """Whether the window is held from message to message."""
        self._unsure = terms.told
        """Whether a message has yet to show that the peer, asked to keep no context, keeps none."""
        self._compressed = False
        """Whether the message is."""
        self._inflating = False
        """Whether the frame is part of one: control frames can come between."""
        self._remaining = max_message
        self._last = b""
        """The last bytes of the message so far, at most as many as :data:`TAIL` has."""
        self._credit = 0
        """Streams that can still end within the frame, as bytes: :data:`PER_STREAM` each."""
        self.at_once = SLICE if max_message <= COST_OF_TURN else COST_OF_TURN // MOST_FROM_ONE
        """Bytes of a frame to pass on at most in one go: they inflate to :data:`COST_OF_TURN` at most."""
        self.cost: int = 0
        """The work since it was last set to 0, in bytes inflated or the like."""
        self.refusal: tuple[int, str] | None = None
        """Close code and reason, if those of wsproto are not exact."""

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    @property
    def inflated(self) -> int | None:
        """Bytes of the message so far, inflated; None for one that is not compressed."""
        return self._max_message - self._remaining if self._compressed else None

    def turn_is_over(self) -> bool:
        """Return whether inflating has used up its turn; if so, the next one begins."""
        over = self.cost >= COST_OF_TURN
        if over:
            self.cost = 0
        return over

    def inflate_whole(self, opcode: Opcode, payload: bytes) -> bytes | CloseReason:
        """Inflate a message that is one frame, as if wsproto had passed it on in one piece."""
        proto = cast(FrameDecoder, None)  # it is never asked
        self.frame_inbound_header(proto, opcode, COMPRESSED, len(payload))
        output = self.frame_inbound_payload_data(proto, payload)
        if isinstance(output, CloseReason):
            return output
        rest = self.frame_inbound_complete(proto, fin=True)
        return rest if isinstance(rest, CloseReason) else output + (rest or b"")

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._inflating = self._compressed and opcode is Opcode.CONTINUATION
        self._credit = STREAMS * PER_STREAM
        if opcode.iscontrol() or opcode is Opcode.CONTINUATION:
            return PLAIN  # RSV1 belongs to the first frame of a message (section 6)
        self._compressed = self._inflating = rsv.rsv1
        self._remaining = self._max_message
        self._last = b""
        return COMPRESSED

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        if not self._inflating or not data:
            return data
        earlier = self.window if self._unsure and not self._last else b""
        self._last = bytes((self._last + data[-4:])[-4:])
        output = self._inflate(data)
        if isinstance(output, bytes):
            self.volume.packed += len(data)
            self.volume.plain += len(output)
        if earlier and isinstance(output, bytes) and repeats(data, output, earlier):
            self._unsure = False
            self._holds = not stands_alone(data)
            self.window = self.window if self._holds else b""
        return output

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        if not self._inflating or not fin:
            return None
        rest: bytes | CloseReason = b""
        # Nothing is to be completed of a message without any payload, and of one whose last block ended its stream.
        if self._inflater is not None:
            # A sender that leaves its flush's tail on is understood too: only that can end in 0xFF.
            rest = self._inflate(LAST_BLOCK if self._last == TAIL else TAIL + LAST_BLOCK)
            if not isinstance(rest, CloseReason) and self._broken_off():
                rest = CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._inflater = None
        return rest

    def _broken_off(self) -> bool:
        """Return whether the stream goes on: the message ended inside a block."""
        return self._inflater is not None

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        """Inflate within the rest of the limit; never flush, which has no bound."""
        output = bytearray()
        self._credit += len(data)
        self.cost += len(data) * COST_OF_ONE
        while True:
            if self._inflater is None:
                window = self._slide(output) if self._holds else b""
                self._inflater = zlib.decompressobj(-max(self.terms.client_bits, 9), zdict=window)
            try:
                piece = self._inflater.decompress(data, min(self._remaining + 1, PIECE))
            except zlib.error:
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
            if len(piece) > self._remaining:
                return CloseReason.MESSAGE_TOO_BIG
            self._remaining -= len(piece)
            output += piece
            if self._inflater.eof:
                # A block marked as the last ends the stream, not the message (section 7.2.3.4).
                data = self._inflater.unused_data
                self._inflater = None
                self.cost += COST_OF_STREAM
                self._credit -= PER_STREAM
                if self._credit < 0:
                    self.refusal = CloseReason.POLICY_VIOLATION, "too many compressed streams in a frame"
                    return CloseReason.POLICY_VIOLATION
            else:
                data = self._inflater.unconsumed_tail
            if not data and len(piece) < PIECE:
                break
        self.cost += len(output)
        if self._holds:
            self.window = self._slide(output)
        return bytes(output)

    def _slide(self, output: bytearray) -> bytes:
        """Return the window with the output added."""
        size = 1 << self.terms.client_bits
        return bytes(output[-size:]) if len(output) >= size else (self.window + output)[-size:]


def repeats(data: bytes, output: bytes, earlier: bytes) -> bool:
    """Return whether the message begins with bytes that a compressor with the context would have referred to."""
    return len(output) >= SAMPLE and data[0] >> 1 & 3 != STORED and output[:SAMPLE] in earlier


def stands_alone(data: bytes) -> bool:
    """Return whether the beginning of a message can be inflated without the earlier ones."""
    try:
        zlib.decompressobj(-15).decompress(data, SAMPLE)
    except zlib.error:
        return False
    return True


class Deflater:
    """Compresses the messages to one client; an :class:`Encoder`.

    Args:
        terms: The parameters agreed on.
        options: The server's.
    """

    __slots__ = ("_compressor", "options", "terms", "volume")

    text_only = False

    def __init__(self, terms: Terms, options: Deflate) -> None:
        self.terms: Terms = terms
        self.options: Deflate = options
        self.volume: Volume = Volume()
        """Counts the messages; one for many clients, where somebody put it here."""
        self._compressor: zlib._Compress | None = None

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extension with its parameters, as the 101 named it."""
        return (self.terms.answer,)

    def frames(
        self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None, *, replaceable: bool
    ) -> list[Frame]:
        """Make the frames of a message. They must be sent: the next message can refer to it."""
        if self.wanted(payload, compress):
            # A message that may be replaced must not be referred to.
            packed = self.compress_for_all(payload) if replaceable else self.compress(payload)
            if packed is not None:
                opcode, payload = opcode | RSV1, packed
        return message_frames(opcode, payload, frame_size)

    def group(self, payload: bytes, compress: bool | None) -> int | None:
        """Take part in a broadcast, with all clients of the same window; None if it is sent uncompressed."""
        if not self.wanted(payload, compress):
            return None
        self._compressor = None  # the next message must not refer to those that the peer got before it
        return self.terms.server_bits

    def frames_for_all(self, opcode: int, payload: bytes, frame_size: int | None) -> list[Frame] | None:
        """Make the frames of a broadcast; None if it is better sent uncompressed."""
        packed = self.compress_for_all(payload)
        return None if packed is None else message_frames(opcode | RSV1, packed, frame_size)

    def wanted(self, payload: bytes, compress: bool | None) -> bool:
        """Return whether to compress a message; None asks the threshold."""
        if self.terms.server_bits < LEAST_BITS:
            return False
        return len(payload) >= self.options.threshold if compress is None else compress

    def compress(self, payload: bytes) -> bytes | None:
        """Compress a message for this client alone; None if it is better sent uncompressed."""
        if not self.terms.server_takeover:
            return self.compress_for_all(payload)
        if self._compressor is None:
            self._compressor = new_compressor(self.options, self.terms.server_bits)
        packed = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        self._count(payload, packed)
        return packed

    def compress_for_all(self, payload: bytes) -> bytes | None:
        """Compress a message so that any client of this window or a wider one can read it."""
        # The next message must not refer to messages that the peer got before this one.
        self._compressor = None
        compressor = new_compressor(self.options, self.terms.server_bits, len(payload))
        packed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        if len(packed) >= len(payload):
            return None
        self._count(payload, packed)
        return packed

    def rest(self) -> None:
        """Give back the compressor: the next message refers to nothing, and later ones to it."""
        self._compressor = None

    def _count(self, payload: bytes, packed: bytes) -> None:
        self.volume.plain += len(payload)
        self.volume.packed += len(packed)


def new_compressor(options: Deflate, bits: int, size: int | None = None) -> zlib._Compress:
    """Make a compressor; one for a single message of that size gets no larger window, which takes time to clear."""
    level = options.mem_level
    if size is not None:
        bits = min(bits, max(LEAST_BITS, (size + LOOK_AHEAD).bit_length()))
        level = min(level, bits - 6)
    return zlib.compressobj(options.level, zlib.DEFLATED, -bits, level)
