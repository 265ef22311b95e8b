"""permessage-deflate (RFC 7692): negotiated by our own rules, inflated within the limits.

wsproto's extension accepts parameters it must decline and inflates without a bound: 64 KiB
on the wire become one event of 64 MiB. This one shares nothing with it but the interface.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import inf
from re import compile as pattern
from typing import Literal, NamedTuple

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from wsframe.limits import check_number
from wsframe.protocol.frames import RSV1, Frame, message_frames

__all__ = ["Deflate", "Deflater", "InflateExtension", "Terms", "negotiate"]

# What a compressor's flush appends to each message and the sender leaves out (section 7.2.1).
TAIL = b"\x00\x00\xff\xff"

COMPRESSED = RsvBits(True, False, False)
PLAIN = RsvBits(False, False, False)

PARAMETERS = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
SPACE = r"[ \t]*"
PARAMETER = pattern(rf'{SPACE};{SPACE}({TOKEN}){SPACE}(?:={SPACE}(?:({TOKEN})|"({TOKEN})"){SPACE})?')
NAME = pattern(rf"{SPACE}({TOKEN}){SPACE}")

# Octets inflated in one go. zlib's output is joined from blocks, which takes the memory of
# a piece twice: in small pieces a bomb costs the message limit, in one it cost twice that.
PIECE = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Deflate:
    """Compression of messages (permessage-deflate); make one with :meth:`shared` or :meth:`dedicated`.

    Raises:
        TypeError: For a field that is no int, or another mode.
        ValueError: For a window outside 9 to 15, a memory level outside 1 to 9, a level
            outside -1 to 9, or a negative threshold.
    """

    mode: Literal["shared", "dedicated"] = "shared"
    window_bits: int = 15
    """The window is 2 to this many octets, on both sides if the peer can; 9 to 15."""
    mem_level: int = 8
    """Memory of a compressor, 1 to 9: 2 to (level + 9) octets."""
    level: int = 6
    """Time spent on finding matches, 1 to 9; -1 is zlib's default."""
    threshold: int = 256
    """Octets below which a message is sent as it is: a shorter one hardly shrinks."""

    def __post_init__(self) -> None:
        if self.mode not in ("shared", "dedicated"):
            raise TypeError(f"Deflate.mode must be one of shared, dedicated, not {self.mode!r}")
        for name, least, most in (("window_bits", 9, 15), ("mem_level", 1, 9), ("level", -1, 9)):
            check_number(f"Deflate.{name}", getattr(self, name), "int", -inf)
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"Deflate.{name} must be from {least} to {most}, not {getattr(self, name)!r}")
        check_number("Deflate.threshold", self.threshold, "int", 0)

    @classmethod
    def shared(cls, *, window_bits: int = 15, mem_level: int = 8, level: int = 6, threshold: int = 256) -> Deflate:
        """Compress each message by itself: no memory per client, and a broadcast is compressed once."""
        return cls(mode="shared", window_bits=window_bits, mem_level=mem_level, level=level, threshold=threshold)

    @classmethod
    def dedicated(cls, *, window_bits: int = 12, mem_level: int = 5, level: int = 6, threshold: int = 64) -> Deflate:
        """Compress with each client's earlier messages in view: smaller, for memory per client.

        A client that has sent and received costs about 2 to ``window_bits`` octets, three
        times, and 2 to (``mem_level`` + 9): 28 KiB with the defaults.
        """
        return cls(mode="dedicated", window_bits=window_bits, mem_level=mem_level, level=level, threshold=threshold)


class Terms(NamedTuple):
    """What both sides agreed on."""

    server_bits: int
    client_bits: int
    server_takeover: bool
    client_takeover: bool
    answer: str
    """The value of Sec-WebSocket-Extensions in the 101."""


def negotiate(fields: list[str], options: Deflate, *, takeover: bool = True) -> Terms | None:
    """Take the first acceptable offer; None if there is none (RFC 7692 section 5).

    Args:
        fields: The values of Sec-WebSocket-Extensions.
        options: The server's.
        takeover: Whether our compressor may keep its context: not if messages can be dropped
            after they were compressed.
    """
    for offer in parse_offers(fields):
        terms = accept_offer(offer, options, takeover=takeover and options.mode == "dedicated")
        if terms is not None:
            return terms
    return None


def parse_offers(fields: list[str]) -> list[dict[str, str | None]]:
    """Parse the offers of permessage-deflate; one with a fault in it is left out, as section 7.1 asks."""
    offers = []
    for offer in ",".join(fields).split(","):
        name = NAME.match(offer)
        if name is None or name[1].lower() != "permessage-deflate":
            continue
        at = name.end()
        parameters: dict[str, str | None] = {}
        while at < len(offer):
            found = PARAMETER.match(offer, at)
            if found is None or found[1] in parameters or found[1] not in PARAMETERS:
                break
            parameters[found[1]] = found[2] or found[3]
            at = found.end()
        else:
            offers.append(parameters)
    return offers


def window(value: str | None) -> int | None:
    """Read window bits: 8 to 15, without leading zeros; None if it is anything else."""
    return int(value) if value in ("8", "9", "10", "11", "12", "13", "14", "15") else None


def accept_offer(offer: dict[str, str | None], options: Deflate, *, takeover: bool) -> Terms | None:
    answer = ["permessage-deflate"]
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if offer.get(name) is not None:  # they have no value
            return None
    server_bits = client_bits = options.window_bits
    if "server_max_window_bits" in offer:
        asked = window(offer["server_max_window_bits"])
        if asked is None or asked < 9:  # zlib has no raw compressor with a window of 256 octets
            return None
        server_bits = min(asked, server_bits)
    # Whoever names the parameter must find it in the answer (section 7.1.2.1), even at its default.
    if "server_max_window_bits" in offer or server_bits < 15:
        answer.append(f"server_max_window_bits={server_bits}")
    if "client_max_window_bits" not in offer:
        client_bits = 15
    elif offer["client_max_window_bits"] is not None:
        asked = window(offer["client_max_window_bits"])
        if asked is None:
            return None
        client_bits = min(asked, client_bits)
    if "client_max_window_bits" in offer and client_bits < 15:
        answer.append(f"client_max_window_bits={client_bits}")
    server_takeover = takeover and "server_no_context_takeover" not in offer
    client_takeover = options.mode == "dedicated" and "client_no_context_takeover" not in offer
    answer += [] if server_takeover else ["server_no_context_takeover"]
    answer += [] if client_takeover else ["client_no_context_takeover"]
    return Terms(server_bits, client_bits, server_takeover, client_takeover, "; ".join(answer))


class InflateExtension(Extension):
    """Inflates what one peer sends, to no more than the message limit.

    Args:
        terms: What was agreed on.
        max_message: Octets a message may have when inflated.
    """

    name = "permessage-deflate"

    def __init__(self, terms: Terms, max_message: int) -> None:
        self._terms = terms
        self._max_message = max_message
        self._inflater: zlib._Decompress | None = None
        self._window = b""
        self._compressed = False
        """Whether the message is."""
        self._inflating = False
        """Whether the frame is part of one: control frames may stand between."""
        self._remaining = max_message

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    @property
    def inflated(self) -> int | None:
        """Octets of the message so far, inflated; None for one that is not compressed."""
        return self._max_message - self._remaining if self._compressed else None

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._inflating = self._compressed and opcode is Opcode.CONTINUATION
        if opcode.iscontrol() or opcode is Opcode.CONTINUATION:
            return PLAIN  # RSV1 belongs to the first frame of a message (section 6)
        self._compressed = self._inflating = rsv.rsv1
        self._remaining = self._max_message
        return COMPRESSED

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        return self._inflate(data) if self._inflating else data

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        if not self._inflating or not fin:
            return None
        rest = self._inflate(TAIL)
        if not self._terms.client_takeover:
            self._inflater = None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        """Inflate within what is left of the limit; never flush, which knows no bound."""
        output = bytearray()
        while True:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(-max(self._terms.client_bits, 9), zdict=self._window)
            try:
                piece = self._inflater.decompress(data, min(self._remaining + 1, PIECE))
            except zlib.error:
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
            if len(piece) > self._remaining:
                return CloseReason.MESSAGE_TOO_BIG
            self._remaining -= len(piece)
            output += piece
            if self._terms.client_takeover:
                self._window = (self._window + piece)[-(1 << self._terms.client_bits) :]
            if self._inflater.eof:
                # A block marked as the last ends the stream, not the message (section 7.2.3.4).
                data = self._inflater.unused_data
                self._inflater = None
            else:
                data = self._inflater.unconsumed_tail
            if not data and len(piece) < PIECE:
                return bytes(output)


class Deflater:
    """Compresses what one client is sent; an :class:`Encoder`.

    Args:
        terms: What was agreed on.
        options: The server's.
    """

    __slots__ = ("_compressor", "options", "terms")

    text_only = False

    def __init__(self, terms: Terms, options: Deflate) -> None:
        self.terms = terms
        self.options = options
        self._compressor: zlib._Compress | None = None

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extension with its parameters, as the 101 named it."""
        return (self.terms.answer,)

    def frames(
        self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None, *, replaceable: bool
    ) -> list[Frame]:
        """Make the frames of a message, which must be sent: the next may refer to it."""
        if self.wanted(payload, compress):
            # A message that may be replaced must not be referred to.
            packed = self.compress_for_all(payload) if replaceable else self.compress(payload)
            if packed is not None:
                opcode, payload = opcode | RSV1, packed
        return message_frames(opcode, payload, frame_size)

    def group(self, payload: bytes, compress: bool | None) -> int | None:
        """Take part in a broadcast, with all clients of the same window; None if it is sent as it is."""
        if not self.wanted(payload, compress):
            return None
        self._compressor = None  # what comes next must not refer to what lies, for the peer, before it
        return self.terms.server_bits

    def frames_for_all(self, opcode: int, payload: bytes, frame_size: int | None) -> list[Frame] | None:
        """Make the frames of a broadcast; None if it is better sent as it is."""
        packed = self.compress_for_all(payload)
        return None if packed is None else message_frames(opcode | RSV1, packed, frame_size)

    def wanted(self, payload: bytes, compress: bool | None) -> bool:
        """Tell whether a message is to be compressed; None asks the threshold."""
        return len(payload) >= self.options.threshold if compress is None else compress

    def compress(self, payload: bytes) -> bytes | None:
        """Compress a message for this client alone; None if it is better sent as it is."""
        if not self.terms.server_takeover:
            return self.compress_for_all(payload)
        if self._compressor is None:
            self._compressor = new_compressor(self.options, self.terms.server_bits)
        return self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]

    def compress_for_all(self, payload: bytes) -> bytes | None:
        """Compress a message so that any client of this window or a wider one can read it."""
        # What comes next must not refer to messages that this one, for the peer, lies behind.
        self._compressor = None
        compressor = new_compressor(self.options, self.terms.server_bits)
        octets = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        return octets if len(octets) < len(payload) else None


def new_compressor(options: Deflate, bits: int) -> zlib._Compress:
    return zlib.compressobj(options.level, zlib.DEFLATED, -bits, options.mem_level)
