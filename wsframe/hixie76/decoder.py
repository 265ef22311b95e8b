"""Version 0, hixie-76 (draft-hixie-thewebsocketprotocol-76, later called hybi-00): text between two bytes.

A frame is 0x00, UTF-8, 0xFF, or a type with the highest bit set, a length and bytes that
are discarded. The closing handshake is the frame 0xFF 0x00, either way. There are no
close codes, no pings, no binary messages and no fragments, and nothing is masked.
"""

from __future__ import annotations

from dataclasses import replace

from wsframe.limits import Limits, Timeouts
from wsframe.protocol.close import PHRASES, CloseCode, State
from wsframe.protocol.deadlines import Deadlines
from wsframe.protocol.events import Ended, Event
from wsframe.protocol.fast_lane import weigh
from wsframe.protocol.size_limits import Check

__all__ = ["CLOSING", "HixieDecoder"]

TEXT = 0x00
END = 0xFF
CLOSING = b"\xff\x00"
"""The closing handshake, the same from both sides (section 5.3)."""

# Bytes of a length, of seven bits each: leading zeros could go on without end.
LONGEST_LENGTH = 9
NOT_WHOLE = -1


class HixieDecoder:
    """The receiving state of one peer of version 0, with the interface of :class:`Decoder`.

    Bytes that are not UTF-8 are read as U+FFFD, as the draft
    has it; frames of other types are discarded. The limits of a frame and of a message hold for
    all; here they are the same thing. Nothing here asks to be pinged.

    Args:
        limits: Sizes of frames and messages; no field can be at ``INHERIT``.
        timeouts: For the deadlines; no field can be at ``INHERIT``.
        now: The time, in seconds of the clock that all later times are of.

    Source: draft-hixie-thewebsocketprotocol-76 section 5.3.
    """

    __slots__ = (
        "_check",
        "_discarded",
        "_held",
        "_limit",
        "_most_discarded",
        "_owed",
        "_searched",
        "byte_count",
        "deadlines",
        "special",
        "state",
        "stopped",
        "undecoded",
    )  # fmt: skip

    def __init__(self, limits: Limits, timeouts: Timeouts, now: float) -> None:
        self.state: State = State.OPEN
        self.deadlines: Deadlines = Deadlines(replace(timeouts, ping_interval=None), now)
        self.stopped: bool = False
        """Whether the last :meth:`receive` left bytes undecoded because there was no room."""
        self.special: bool = False
        """Whether it returned anything but messages."""
        self.byte_count: int = 0
        """The weight of the messages that it returned: usually their bytes of payload."""
        self.undecoded: int = 0
        """Bytes held of messages that are not whole yet, or not decoded."""
        self._limit = min(limits.max_message, limits.max_frame or limits.max_message)
        self._most_discarded = limits.max_message
        self._check: Check | None = None
        self._held: bytearray | None = None
        self._searched = 0
        """Bytes of the first frame held that are known not to end it."""
        self._owed = 0
        """Bytes to come of a frame that is discarded."""
        self._discarded = 0

    @property
    def missing(self) -> int:
        """Bytes to come of the frame that is held: 0, because it does not say its length."""
        return 0

    def lone_ping(self, data: bytearray) -> None:
        """Return None: this version has no pings."""

    def ask(self, check: Check) -> None:
        """Pass each message to ``check`` before it is decoded, not earlier: no frame says its length."""
        self._check = check

    def receive(self, data: bytearray, room: int) -> list[Event]:
        """Take bytes from the peer and return the messages and events they complete.

        Args:
            data: The bytes received; empty to go on after :attr:`stopped`. The decoder
                owns them from now on.
            room: How many frames to read at most, discarded ones included. The decoder keeps
                the bytes beyond, and sets :attr:`stopped`.
        """
        self.special = self.stopped = False
        self.byte_count = 0
        if self.state is State.CLOSED:
            return []
        self._discarded += len(data) if self.state is State.CLOSING else 0
        return self._take(data, room)

    def _take(self, data: bytearray, room: int) -> list[Event]:
        held, self._held = self._held, None
        if held is not None:
            held += data
            data = held
        events: list[Event] = []
        at = self._decode(data, room, events)
        if self.state is State.CLOSING and self._discarded > self._most_discarded:
            self._fail(CloseCode.MESSAGE_TOO_BIG, events)
        if self.state is not State.CLOSED:
            del data[:at]
            self._held = data or None
            self.undecoded = len(data)
        return events

    def _decode(self, data: bytearray, room: int, events: list[Event]) -> int:
        """Decode frames until the bytes or the room run out; return the position reached."""
        at = min(self._owed, len(data))
        self._owed -= at
        frames = 0
        while at < len(data):
            if frames >= room and self.state is State.OPEN:
                self.stopped = True
                break
            stop = self._read_text(data, at, events) if data[at] < 0x80 else self._read_length(data, at, events)
            if stop == NOT_WHOLE or self.state is State.CLOSED:
                break
            at = min(stop, len(data))
            self._owed = stop - at
            frames += 1
        return at

    def _read_text(self, data: bytearray, at: int, events: list[Event]) -> int:
        """Read a frame that ends with 0xFF; return where the next one starts."""
        stop = data.find(END, at + max(1, self._searched))
        length = (len(data) if stop < 0 else stop) - at - 1
        if length > self._limit:
            return self._fail(CloseCode.MESSAGE_TOO_BIG, events)
        if stop < 0:
            self._searched = len(data) - at
            return NOT_WHOLE
        self._searched = 0
        if data[at] == TEXT and self.state is State.OPEN:
            refusal = None if self._check is None else self._check("text", length, length)
            if refusal is not None:
                events.append(self._end(Ended(*refusal, clean=False, answer=refusal[0], owed=True)))
                return NOT_WHOLE
            text = data[at + 1 : stop].decode("utf-8", "replace")
            events.append(text)
            self.byte_count += weigh(text)
        return stop + 1

    def _read_length(self, data: bytearray, at: int, events: list[Event]) -> int:
        """Read the length of a frame that is discarded; return where the next one starts, perhaps beyond the data."""
        length = 0
        for start, byte in enumerate(data[at + 1 : at + 1 + LONGEST_LENGTH], at + 2):
            length = length << 7 | byte & 0x7F
            if length > self._limit:
                return self._fail(CloseCode.MESSAGE_TOO_BIG, events)
            if byte < 0x80:
                if data[at] == END and not length:
                    owed = self.state is State.OPEN
                    events.append(self._end(Ended(CloseCode.NO_STATUS_RECEIVED, "", clean=True, owed=owed)))
                return start + length
        return NOT_WHOLE if len(data) - at <= LONGEST_LENGTH else self._fail(CloseCode.PROTOCOL_ERROR, events)

    def _fail(self, code: CloseCode, events: list[Event]) -> int:
        if self.state is State.OPEN:
            ended = Ended(code, PHRASES[code], clean=False, answer=code, owed=True)
        else:
            ended = Ended(CloseCode.ABNORMAL_CLOSURE, "data instead of a close frame", clean=False)
        events.append(self._end(ended))
        return NOT_WHOLE

    def _end(self, ended: Ended) -> Ended:
        self.state = State.CLOSED
        self.special = True
        self.stopped = False
        self._held = None
        self.undecoded = 0
        self._owed = 0
        return ended

    def close(self) -> list[Event]:
        """Note that our closing handshake is on its way; return the end, if it is already here.

        From now on the decoder only looks for the peer's. It can be among the bytes that were
        kept because there was no room.
        """
        if self.state is not State.OPEN:
            return []
        self.state = State.CLOSING
        self.stopped = False
        self._discarded = len(self._held or b"")
        return self._take(bytearray(), 0)

    def eof(self) -> list[Event]:
        """Note that nothing more will come, with or without a closing handshake."""
        if self.state is State.CLOSED:
            return []
        return [self._end(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))]
