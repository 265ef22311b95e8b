"""One connection after the 101: bytes in, messages and events out.

Four lanes decode. The fast lane takes the frame that nearly every message is: whole, masked,
unfragmented, without reserved bits, within the limits; and control frames that keep to the
rules. The lane of fragments takes a message in several such frames, that of deflate a whole
compressed one. A plain frame costs about 1 us in these and 12 in the slow lane, which is wsproto: it
takes every other frame byte for byte, one at a time. A lane is kept only while a frame or a message is
half done: between messages it has no state worth keeping, and an idle client saves its 1.7 KiB.

=========  ================  ==================  ==============  ==========
state      data              peer's close frame  violation, EOF  we close
=========  ================  ==================  ==============  ==========
OPEN       messages, events  CLOSED, Ended       CLOSED, Ended   CLOSING
CLOSING    discarded         CLOSED, Ended       CLOSED, Ended   CLOSING
CLOSED     discarded         discarded           discarded       CLOSED
=========  ================  ==================  ==============  ==========
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from wsframe.limits import Limits, Timeouts
from wsframe.protocol.close import CloseCode, State
from wsframe.protocol.close_seeker import CloseSeeker
from wsframe.protocol.deadlines import Deadlines
from wsframe.protocol.deflate import InflateExtension
from wsframe.protocol.deflate_lane import COMPRESSED_WORK, read_compressed
from wsframe.protocol.events import Ended, Event, PingReceived
from wsframe.protocol.fast_lane import check_text, read_control, read_messages, weigh
from wsframe.protocol.fragment_lane import BEGINNINGS, FragmentLane
from wsframe.protocol.frames import LONGEST_HEADER
from wsframe.protocol.size_limits import Check
from wsframe.protocol.slow_lane import SlowLane

__all__ = ["Decoder"]

# Frames that wsproto takes in one turn of a connection. The smallest cost it ten times as much as a
# message costs the fast lane, and one read holds ten thousand: a tenth of a second for every client.
ENGINE_FRAMES = 64
ENGINE_WORK = 4
"""One of these takes as long as this many control frames in the fast lane."""
WORK_OF_TURN = ENGINE_WORK * ENGINE_FRAMES
# In the fast lane: with its header it still fits a size of the machine, in C too.
LONGEST_FRAME = sys.maxsize - LONGEST_HEADER


class Decoder:
    """The receiving state of one peer, and its deadlines.

    Args:
        limits: Sizes of frames and messages; no field can be at ``INHERIT``.
        timeouts: For the deadlines; no field can be at ``INHERIT``.
        now: The time, in seconds of the clock of all later times.
        inflate: The extension, if the peers agreed on compression.
        masked: Whether the peer masks its frames, as clients do; False for a server's, where
            a mask is the violation (RFC 6455 section 5.1).
    """

    __slots__ = (
        "_check",
        "_checked",
        "_engine",
        "_held",
        "_lane_limit",
        "_masked",
        "_payload",
        "_seeker",
        "_wanted",
        "byte_count",
        "deadlines",
        "inflate",
        "limits",
        "special",
        "state",
        "stopped",
        "undecoded",
    )  # fmt: skip

    def __init__(
        self,
        limits: Limits,
        timeouts: Timeouts,
        now: float,
        inflate: InflateExtension | None = None,
        *,
        masked: bool = True,
    ) -> None:
        self.state: State = State.OPEN
        self.deadlines: Deadlines = Deadlines(timeouts, now)
        self.stopped: bool = False
        """Whether the last :meth:`receive` left bytes undecoded because there was no room."""
        self.special: bool = False
        """Whether it returned anything but messages."""
        self.byte_count: int = 0
        """The weight of the messages that it returned: usually their bytes of payload."""
        self.undecoded: int = 0
        """Bytes held of messages that are not whole yet, or not decoded."""
        self.limits: Limits = limits
        self._check: Check | None = None
        self.inflate: InflateExtension | None = inflate
        self._masked = masked
        self._lane_limit = min(limits.max_frame or LONGEST_FRAME, limits.max_message, LONGEST_FRAME)
        self._held: bytearray | None = None
        self._payload: bytes | None = None
        """The bytes after :attr:`_held`, where C gathers the payload of a large message."""
        self._wanted = 0
        """Bytes the frame will have that is held; 0 if it is not known to be for the fast lane."""
        self._checked = 0
        """Bytes of it that are valid text."""
        self._engine: SlowLane | FragmentLane | None = None
        """The lane with a frame or a message that is half done."""
        self._seeker: CloseSeeker | None = None

    def ask(self, check: Check) -> None:
        """Pass every data frame to ``check`` once its header is known, before its payload is held.

        The fast lane, which sees whole frames only, is then not used.
        """
        self._check = check
        if self._engine is not None:  # in the middle of a message, whose other frames are checked too
            self._slow_lane().ask(check)

    def receive(self, data: bytearray, room: int) -> list[Event]:
        """Take bytes from the peer and return the messages and events they complete.

        Args:
            data: The bytes received; empty to go on after :attr:`stopped`. The decoder
                owns them from now on.
            room: How many messages and events to return at most. The decoder keeps the
                bytes beyond, at most those passed in, and sets :attr:`stopped`; it does so
                too after as many frames as wsproto can take in a turn, and when inflated
                messages exceed a client's share of the mailbox.
        """
        self.special = self.stopped = False
        self.byte_count = 0
        if self._held is not None:
            held = self._all_held()
            held += data
            if len(held) < self._wanted and self._may_wait(held, 0):
                self.undecoded = len(held)
                return []
            data = held
            self._held = None
        events: list[Event] = []
        if self.state is not State.OPEN:
            self._seek_close(data, events)
            return events
        at = self._decode(data, room, events)
        if at < len(data) and self.state is State.OPEN:
            if at:
                del data[:at]
            self._held = data
        self.undecoded = 0 if self._held is None and self._engine is None else self._weigh()
        return events

    def lone_ping(self, data: bytearray) -> bytes | None:
        """Return the payload of a ping that is all that was received, as keepalive and storms send them; else None.

        Nothing changes by it: the data of None is for :meth:`receive`.
        """
        plain = self._held is None and self._engine is None and self._check is None
        found = read_control(data, 0, self._masked) if plain and self.state is State.OPEN else None
        return found[0].payload if found and found[1] == len(data) and isinstance(found[0], PingReceived) else None

    @property
    def missing(self) -> int:
        """Bytes to come of the frame that is held, if the fast lane will take it; else 0."""
        return 0 if self._held is None or not self._wanted else self._wanted - len(self._held)

    @property
    def between_messages(self) -> bool:
        """Whether :meth:`take_out` has an answer: parts of a plain frame are bytes like others."""
        return self._engine is None

    def take_out(self) -> bytes | None:
        """Take out and return the bytes that are not decoded; None in the middle of a message."""
        if self._engine is not None:
            return None
        held, self._held, self.undecoded = self._all_held(), None, 0
        return bytes(held)

    def _all_held(self) -> bytearray:
        """Return the bytes held, in one piece."""
        if self._held is None:
            return bytearray()
        if self._payload is not None:
            self._held += self._payload
            self._payload = None
        return self._held

    def _may_wait(self, data: bytearray, at: int) -> bool:
        """Return whether to wait for the rest of a frame: not if its text is already wrong."""
        self._checked = check_text(data, at, self._checked)
        return self._checked >= 0

    def _weigh(self) -> int:
        return (0 if self._engine is None else self._engine.weight) + len(self._all_held())

    def _decode(self, data: bytearray, room: int, events: list[Event]) -> int:
        """Decode frames until the bytes or the room run out; return the position reached."""
        at = byte_count = work = self._wanted = self._checked = 0
        size = len(data)
        while at < size:
            if len(events) >= room:
                self.stopped = True
                break
            if self._engine is None and self._check is None:
                begin = at
                at, taken, wanted = read_messages(data, at, room, self._lane_limit, self._masked, events)
                byte_count += taken
                if wanted and self._may_wait(data, at):
                    self._wanted = wanted
                    break
                if at > begin:
                    continue
            at, cost = self._take_frame(data, at, events)
            if not cost:  # the header of a fragment is not whole
                break
            work += cost
            if work >= WORK_OF_TURN or self._share_is_used_up():
                self.stopped = at < size
                break
        self.byte_count += byte_count
        return at

    def _share_is_used_up(self) -> bool:
        inflate = self.inflate
        return self.byte_count >= self.limits.max_queued_bytes or (inflate is not None and inflate.turn_is_over())

    def _take_frame(self, data: bytearray, at: int, events: list[Event]) -> tuple[int, int]:
        """Decode a frame that is not a plain message; return the position after it, and its cost in control frames.

        No cost means that nothing was done, because bytes of a header are to come.
        """
        lane = self._engine
        if self._check is None and not isinstance(lane, SlowLane):
            if lane is None or lane.between_frames:
                control = read_control(data, at, self._masked)
                if control is not None:
                    self._note(control[:1], events)
                    return (control[1] if self.state is State.OPEN else len(data)), 1
            if lane is None and self.inflate is not None:
                compressed = read_compressed(data, at, self.limits, self.inflate, masked=self._masked)
                if compressed is not None:
                    self._note(compressed[:1], events)
                    return (compressed[1] if self.state is State.OPEN else len(data)), COMPRESSED_WORK
            if lane is not None or data[at] in BEGINNINGS:  # with ``lane`` also its control frames, in pieces
                lane = lane or FragmentLane(self.limits, masked=self._masked)
                stop, cost = self._take_fragments(lane, data, at, events)
                if stop > at:
                    return stop, cost
                if lane.between_frames and lane.waits(data, at):
                    return at, 0
        lane = self._slow_lane()
        stop, found = lane.feed(data, at)
        if self.state is State.OPEN:  # else the check has closed or reset the connection itself
            self._note(found, events)
            if lane.done:
                self._engine = None
        else:  # the peer's close frame may be here already
            self._seek_close(data[stop:], events)
        return (stop if self.state is State.OPEN else len(data)), ENGINE_WORK

    def _take_fragments(self, lane: FragmentLane, data: bytearray, at: int, events: list[Event]) -> tuple[int, int]:
        """Take plain fragments; return the position after them, and their cost in control frames."""
        stop, message, cost = lane.feed(data, at)
        if message is not None:
            events.append(message)
            self.byte_count += weigh(message)
        self._engine = lane if lane.begun and not lane.done else None
        return stop, cost

    def _slow_lane(self) -> SlowLane:
        """Return the slow lane, which goes on with a message in fragments if one has begun."""
        lane = self._engine
        if not isinstance(lane, SlowLane):
            fragments = lane
            lane = self._engine = SlowLane(self.limits, self._check, self.inflate, masked=self._masked)
            if fragments is not None:
                fragments.hand_over(lane)
        return lane

    def _note(self, found: Iterable[Event], events: list[Event]) -> None:
        """Add messages and events to those that :meth:`receive` returns."""
        for event in found:
            events.append(event)
            if isinstance(event, str | bytes):
                self.byte_count += weigh(event)
            elif isinstance(event, Ended):
                self._end()
                break
            else:
                self.special = True

    def _seek_close(self, data: bytearray, events: list[Event]) -> None:
        """Look for the peer's close frame, and for nothing else, if we have sent ours."""
        ended = None if self._seeker is None else self._seeker.seek(data)
        if ended is not None:
            self._end()
            events.append(ended)

    def _end(self) -> None:
        self.undecoded = 0
        self.state = State.CLOSED
        self.special = True
        self.stopped = False
        self._engine = self._held = self._payload = self._seeker = None

    def close(self) -> list[Event]:
        """Note that our close frame is on its way; return the end, if it is already here.

        From now on the decoder only looks for the peer's close frame. It can be among the
        bytes that were kept because there was no room.
        """
        if self.state is not State.OPEN:
            return []
        self.state = State.CLOSING
        self.stopped = False
        self.undecoded = 0
        prefix, owed = (b"", 0) if self._engine is None else self._engine.unread
        self._seeker = CloseSeeker(self.limits.max_message, prefix, owed, masked=self._masked)
        self._engine = None
        kept, self._held = self._all_held(), None
        events: list[Event] = []
        if kept:
            self._seek_close(kept, events)
        return events

    def eof(self) -> list[Event]:
        """Note that nothing more will come, with or without a close frame."""
        if self.state is State.CLOSED:
            return []
        self._end()
        return [Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False)]
