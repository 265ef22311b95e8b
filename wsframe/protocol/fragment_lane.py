"""The lane of fragments: a message in several plain frames, without wsproto.

It keeps the payload that has come, from the first frame on, and goes on with each read, also inside of a frame. It
takes frames that keep to the rules: no reserved bits, the shortest form of the length, within every limit. At the
first frame that it does not take, it hands the message over to the slow lane in the state in which wsproto would be
if it had read all frames so far. So wsproto remains the judge of everything that is not plain.

Text is checked as it comes, as far as it goes. Text that is wrong is given back to the state before the read, and
handed over too.
"""

from __future__ import annotations

from codecs import utf_8_decode

from wsframe.limits import Limits
from wsframe.protocol.fast_lane import WHOLE_CONTROL
from wsframe.protocol.frames import BINARY, FIN, MAX_CONTROL_PAYLOAD, TEXT, frame_extent, shortest_header, unmask
from wsframe.protocol.slow_lane import SlowLane
from wsframe.speedups import accelerated

__all__ = ["BEGINNINGS", "FragmentLane", "gather_fragments"]

BEGINNINGS = (TEXT, BINARY)
"""The first byte of the first fragment of a message."""
CONTINUATIONS = (0, FIN)

# Fragments that one call takes at most, and the number of them that takes as long as a control frame.
FRAGMENTS_AT_ONCE = 1024
FRAGMENTS_OF_WORK = 8


@accelerated
def gather_fragments(
    data: bytearray, at: int, payload: bytearray, begun: bool, most: int, limit: int, room: int, masked: bool
) -> tuple[int, int, bool]:
    """Append the payloads of plain frames of one message, as long as each is whole.

    Args:
        data: The bytes received.
        at: Where a frame begins.
        payload: Takes the payloads.
        begun: Whether the first frame of the message was before.
        most: Frames at most.
        limit: Bytes of a frame's payload at most.
        room: The length of ``payload`` at most.
        masked: Whether the frames come from a client.

    Returns:
        The position where it stopped, the number of frames, and whether the last one ends the message.
    """
    count = 0
    while count < most and at < len(data):
        first = data[at]
        header, length = frame_extent(data, at)
        if (
            not header
            or first not in (CONTINUATIONS if begun else BEGINNINGS)
            or data[at + 1] >> 7 != masked
            or length > min(limit, room - len(payload), len(data) - at - header)
            or header != shortest_header(length) + 4 * masked
        ):
            break
        start, at = at + header, at + header + length
        payload += unmask(data[start:at], data[start - 4 : start]) if masked else data[start:at]
        count += 1
        begun = True
        if first == FIN:
            return at, count, True
    return at, count, False


class FragmentLane:
    """One peer's message in fragments.

    Args:
        limits: Sizes of frames and messages.
        masked: Whether the peer masks its frames.
    """

    __slots__ = ("_checked", "_fin", "_fragments", "_kind", "_limits", "_mask", "_masked", "_owed", "_payload", "done")

    def __init__(self, limits: Limits, *, masked: bool) -> None:
        self._limits = limits
        self._masked = masked
        self._kind = 0
        """The opcode of the message; 0 before its first frame."""
        self._payload = bytearray()
        self._fragments = 0
        self._checked = 0
        """Bytes of the payload that are known to be valid text."""
        self._owed = 0
        """Bytes to come of the frame whose header has been read."""
        self._mask = b""
        """The mask of the next of them on."""
        self._fin = False
        """Whether that frame is the last."""
        self.done: bool = False
        """Whether the message is whole."""

    @property
    def weight(self) -> int:
        """The bytes held of the message."""
        return len(self._payload)

    @property
    def begun(self) -> bool:
        """Whether any part of the message was taken."""
        return self._kind != 0

    @property
    def between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._owed

    @property
    def unread(self) -> tuple[bytes, int]:
        """The bytes and the number of bytes to come with which a search for a close frame begins."""
        return b"", self._owed

    def feed(self, data: bytearray, at: int) -> tuple[int, str | bytes | None, int]:
        """Take fragments from ``at`` on.

        Returns:
            The position where it stopped, which is ``at`` if it takes none; the message, if it is whole now; and
            the cost in control frames.
        """
        before = (self._kind, len(self._payload), self._fragments, self._owed, self._mask, self._fin)
        stop = self._rest_of_frame(data, at)
        count, fin = 0, self._fin
        if not self._owed and not fin:
            stop, count, fin = self._whole_frames(data, stop)
            if not fin and stop < len(data):
                stop = self._part_of_frame(data, stop)
        try:
            message = self._check(whole=fin and not self._owed)
        except UnicodeDecodeError:
            kind, size, self._fragments, self._owed, self._mask, self._fin = before
            self._kind = kind
            del self._payload[size:]
            return at, None, 1
        return stop, message, 1 + count // FRAGMENTS_OF_WORK

    def _check(self, *, whole: bool) -> str | bytes | None:
        """Return the message if it is whole; else check its text as far as it goes.

        Raises:
            UnicodeDecodeError: For text that is wrong.
        """
        text = self._kind == TEXT
        if whole:
            message = self._payload.decode() if text else bytes(self._payload)
            self.done = True
            return message
        if text:
            with memoryview(self._payload) as payload:
                self._checked += utf_8_decode(payload[self._checked :], "strict", False)[1]
        return None

    def _rest_of_frame(self, data: bytearray, at: int) -> int:
        """Take the rest of the frame that has begun."""
        if not self._owed:
            return at
        piece = data[at : at + self._owed]
        self._take(piece)
        return at + len(piece)

    def _take(self, piece: bytearray) -> None:
        size = len(piece)
        self._owed -= size
        if self._masked:
            self._payload += unmask(piece, self._mask)
            self._mask = self._mask[size % 4 :] + self._mask[: size % 4]
        else:
            self._payload += piece

    def _whole_frames(self, data: bytearray, at: int) -> tuple[int, int, bool]:
        limits = self._limits
        kind = self._kind or (data[at] if at < len(data) else 0)
        most = min(FRAGMENTS_AT_ONCE, limits.max_fragments - self._fragments)
        limit = limits.max_message if limits.max_frame is None else limits.max_frame
        stop, count, fin = gather_fragments(
            data, at, self._payload, self.begun, most, limit, limits.max_message, self._masked
        )
        if count:
            self._kind = kind
            self._fragments += count
        return stop, count, fin

    def _part_of_frame(self, data: bytearray, at: int) -> int:
        """Take the header of a plain frame, and as much of its payload as there is."""
        header, length = frame_extent(data, at)
        if not header or not self._may_be_plain(data, at) or len(data) - at - header >= length:
            return at
        self._kind = self._kind or data[at]
        self._fragments += 1
        self._owed = length
        self._fin = data[at] == FIN
        self._mask = bytes(data[at + header - 4 : at + header]) if self._masked else b""
        self._take(data[at + header :])
        return len(data)

    def waits(self, data: bytearray, at: int) -> bool:
        """Return whether more bytes can make a plain fragment or a control frame of those from ``at`` on."""
        if data[at] in WHOLE_CONTROL:  # a whole one that keeps to the rules has been read
            available = len(data) - at
            return available < 2 or (
                data[at + 1] >> 7 == self._masked
                and data[at + 1] & 0x7F <= MAX_CONTROL_PAYLOAD
                and available < 2 + 4 * self._masked + (data[at + 1] & 0x7F)
            )
        return not frame_extent(data, at)[0] and self._may_be_plain(data, at)

    def _may_be_plain(self, data: bytearray, at: int) -> bool:
        """Return whether a frame is plain as far as its header goes."""
        available, limits = len(data) - at, self._limits
        if data[at] not in (CONTINUATIONS if self.begun else BEGINNINGS) or self._fragments >= limits.max_fragments:
            return False
        if available < 2:
            return True
        length = data[at + 1] & 0x7F
        form = 2 if length == 126 else 8 if length == 127 else 0
        if available < 2 + form:
            return data[at + 1] >> 7 == self._masked
        if form:
            length = int.from_bytes(data[at + 2 : at + 2 + form], "big")
        return (
            data[at + 1] >> 7 == self._masked
            and shortest_header(length) == 2 + form
            and len(self._payload) + length <= limits.max_message
            and (limits.max_frame is None or length <= limits.max_frame)
        )

    def hand_over(self, lane: SlowLane) -> None:
        """Give the message to the slow lane, which goes on with it."""
        if self.begun:
            lane.take_over(self._kind, self._payload, self._fragments, self._owed, self._mask, fin=self._fin)
