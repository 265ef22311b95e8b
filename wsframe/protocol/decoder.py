"""One connection after the 101: octets in, messages and events out.

wsproto is the engine: extensions, control frames, fragments, early refusal. In front
of it lies a fast lane for the frame that nearly every message is: whole, masked,
unfragmented, without reserved bits, within the limits. Such a frame costs about 1 us in
the lane and 12 in the engine. All else goes to the engine octet for octet, one frame
at a time, and the engine exists only while a frame or a message is half done: between
messages it has no state worth keeping, and an idle client does without its 1.7 KiB.

=========  ================  ==================  ==============  ==========
state      data              peer's close frame  violation, EOF  we close
=========  ================  ==================  ==============  ==========
OPEN       messages, events  CLOSED, Ended       CLOSED, Ended   CLOSING
CLOSING    discarded         CLOSED, Ended       CLOSED, Ended   CLOSING
CLOSED     discarded         discarded           discarded       CLOSED
=========  ================  ==================  ==============  ==========

The engine is never used to send, so none of its errors about the order of calls can
occur, and no private attribute of wsproto is read.
"""

from __future__ import annotations

import sys
from io import StringIO

from wsproto.connection import CLIENT, SERVER
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import Extension

from wsframe.limits import Limits, Timeouts
from wsframe.protocol.close import PHRASES, CloseCode, State
from wsframe.protocol.deadlines import Deadlines
from wsframe.protocol.deflate import InflateExtension
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.fast_lane import check_text, read_control, read_messages, weigh
from wsframe.protocol.frames import MAX_CONTROL_PAYLOAD, frame_extent, skip_frames
from wsframe.protocol.rules import broken_rule, may_be_close
from wsframe.protocol.size_limits import Check, SizeLimits

__all__ = ["Connection"]

LONGEST_HEADER = 14
# Frames the engine takes in one turn of a connection. The smallest cost it ten times what a
# message costs the lane, and one read holds ten thousand: a tenth of a second for everybody.
ENGINE_FRAMES = 64
# One of these takes as long as four control frames that the lane reads.
WORK_OF_TURN = 4 * ENGINE_FRAMES
# In the lane: with its header it is still a size of the machine's, in C too.
LONGEST_FRAME = sys.maxsize - LONGEST_HEADER


class Connection:
    """The receiving state of one peer, and its deadlines.

    Args:
        limits: Sizes of frames and messages; no field may be at ``INHERIT``.
        timeouts: For the deadlines; no field may be at ``INHERIT``.
        now: The time, in seconds of the clock that all later times are of.
        inflate: The extension, where compression was agreed on. Its state outlives the engine.
        masked: Whether the peer masks its frames, as clients do; False for a server's, where
            a mask is the violation (RFC 6455 section 5.1).
    """

    __slots__ = (
        "_check",
        "_checked",
        "_close_begun",
        "_discarded",
        "_engine",
        "_head",
        "_held",
        "_inflate",
        "_lane_limit",
        "_limits",
        "_masked",
        "_message",
        "_owed",
        "_payload",
        "_prefix",
        "_sizes",
        "_wanted",
        "deadlines",
        "octets",
        "special",
        "state",
        "stopped",
        "undecoded",
    )

    def __init__(
        self,
        limits: Limits,
        timeouts: Timeouts,
        now: float,
        inflate: InflateExtension | None = None,
        *,
        masked: bool = True,
    ) -> None:
        self.state = State.OPEN
        self.deadlines = Deadlines(timeouts, now)
        self.stopped = False
        """Whether the last :meth:`receive` left undecoded octets for want of room."""
        self.special = False
        """Whether what it returned holds anything but messages."""
        self.octets = 0
        """What the messages weigh that it returned: as a rule their octets of payload."""
        self.undecoded = 0
        """Octets it holds of messages that are not whole yet, or not decoded."""
        self._limits = limits
        self._check: Check | None = None
        self._inflate = inflate
        self._masked = masked
        self._lane_limit = min(limits.max_frame or LONGEST_FRAME, limits.max_message, LONGEST_FRAME)
        self._held: bytearray | None = None
        self._payload: bytes | None = None
        """What belongs behind :attr:`_held`, where C gathers the payload of a large message."""
        self._wanted = 0
        """Octets the frame will have that is held; 0 if it is not known to be for the lane."""
        self._checked = 0
        """Octets of it that are good text."""
        self._engine: Engine | None = None
        self._sizes: SizeLimits | None = None
        self._message: StringIO | bytearray | None = None
        self._owed = 0
        """Octets to come of the frame whose header is known."""
        self._prefix = b""
        """Octets so far of a header that is not whole."""
        self._head = b""
        """The header of the engine's frame, with what there is behind it."""
        self._close_begun: bytes | None = None
        """Octets so far of a close frame that is not whole: our own close looks at them again."""
        self._discarded = 0

    def ask(self, check: Check) -> None:
        """Have every data frame passed by ``check`` once its header is known, before its payload is held.

        The fast lane, which sees whole frames only, is then out of use.
        """
        self._check = check
        if self._sizes is not None:  # in the middle of a message: its other frames are not let off
            self._sizes.check = check

    def receive(self, data: bytearray, room: int) -> list[Event]:
        """Take octets from the peer and return the messages and events they complete.

        Args:
            data: What was received; empty to go on after :attr:`stopped`. It is the
                connection's from now on.
            room: How many messages and events may be returned. The octets beyond are
                kept, at most what was passed in, and :attr:`stopped` is set; so it is after
                as many frames as the engine may take in a turn, and when inflated messages
                exceed a client's share of the mailbox.
        """
        self.special = self.stopped = False
        self.octets = 0
        if self._held is not None:
            held = self._all_held()
            held += data
            if len(held) < self._wanted and self._may_wait(held, 0):
                self.undecoded = len(held)
                return []
            data = held
            self._held = None
        if self.state is not State.OPEN:
            return self._seek_close(data)
        events: list[Event] = []
        at = self._decode(data, room, events)
        if at < len(data) and self.state is State.OPEN:
            if at:
                del data[:at]
            self._held = data
        self.undecoded = 0 if self._held is None and self._message is None else self._weigh()
        return events

    @property
    def missing(self) -> int:
        """Octets to come of the frame that is held, where the lane will take it; else 0."""
        return 0 if self._held is None or not self._wanted else self._wanted - len(self._held)

    def _all_held(self) -> bytearray:
        """Return what is held, in one piece."""
        if self._held is None:
            return bytearray()
        if self._payload is not None:
            self._held += self._payload
            self._payload = None
        return self._held

    def _may_wait(self, data: bytearray, at: int) -> bool:
        """Tell whether the frame that is not whole may be waited for: not if its text is wrong already."""
        self._checked = check_text(data, at, self._checked)
        return self._checked >= 0

    def _weigh(self) -> int:
        message = self._message
        begun = 0 if message is None else message.tell() if isinstance(message, StringIO) else len(message)
        return begun + len(self._all_held())

    def _decode(self, data: bytearray, room: int, events: list[Event]) -> int:
        """Decode frames until the octets or the room run out; return how far it came."""
        at = octets = work = self._wanted = self._checked = 0
        size, inflate = len(data), self._inflate
        while at < size:
            if len(events) >= room:
                self.stopped = True
                break
            control = None
            if self._engine is None and self._check is None:
                begin = at
                at, taken, wanted = read_messages(data, at, room, self._lane_limit, self._masked, events)
                octets += taken
                if wanted and self._may_wait(data, at):
                    self._wanted = wanted
                    break
                if at > begin:
                    continue
                control = read_control(data, at, self._masked)
            if control is not None:
                at = self._take_control(*control, size, events)
                work += 1
            else:
                at = self._feed(data, at, events)
                work += 4
            if (
                work >= WORK_OF_TURN
                or self.octets >= self._limits.max_queued_bytes
                or (inflate and inflate.turn_is_over())
            ):
                self.stopped = at < size
                break
        self.octets += octets
        return at

    def _take_control(self, event: Event, stop: int, size: int, events: list[Event]) -> int:
        """Note what a control frame says; return where to go on, which is nowhere after a close frame."""
        self.special = True
        ends = isinstance(event, Ended)
        events.append(self._end(event) if isinstance(event, Ended) else event)
        return size if ends else stop

    def _feed(self, data: bytearray, at: int, events: list[Event]) -> int:
        """Pass one frame, or what there is of it, to the engine; return how far that went.

        Of a compressed one it is as much as may be inflated in one go. A close frame is kept
        until it is whole, and the engine, which knows fewer codes, does not see it.
        """
        engine = self._engine or self._start_engine()
        if not self._owed:
            head = self._head = self._prefix + data[at : at + LONGEST_HEADER]
            header, length = frame_extent(head, 0)
            if header:
                self._owed = header + length - len(self._prefix)
                self._close_begun = self._prefix if may_be_close(head, masked=self._masked) else None
                self._prefix = b""
            else:
                # It goes to the engine all the same: two octets can be enough to refuse.
                self._prefix = head
        stop = len(data) if self._prefix else min(at + self._owed, len(data))
        if self._inflate is not None:
            stop = min(stop, at + self._inflate.at_once)
        if self._owed:
            self._owed -= stop - at
        octets = bytes(data[at:stop])
        if self._close_begun is not None:
            return self._gather_close(octets, stop, len(data), events)
        engine.receive_data(octets)
        for event in engine.events():
            self._take(event, events)
        if self.state is State.CLOSING:  # the check has closed: the peer's close frame may be here already
            events += self._seek_close(data[stop:])
        if self.state is not State.OPEN:
            return len(data)
        if not self._owed and not self._prefix and self._message is None:
            self._engine, self._sizes, self._head = None, None, b""
        return stop

    def _start_engine(self) -> Engine:
        self._sizes = SizeLimits(self._limits, self._check)
        extensions: list[Extension] = [self._sizes, self._inflate] if self._inflate else [self._sizes]
        self._engine = Engine(SERVER if self._masked else CLIENT, extensions)
        return self._engine

    def _gather_close(self, octets: bytes, stop: int, size: int, events: list[Event]) -> int:
        """Take more of a close frame; return where to go on, which is nowhere."""
        self._close_begun = (self._close_begun or b"") + octets
        if self._owed:
            return stop
        control = read_control(bytearray(self._close_begun), 0, self._masked)
        assert control is not None
        return self._take_control(*control, size, events)

    def _take(self, event: object, events: list[Event]) -> None:
        """Turn an event of the engine into ours."""
        if self.state is not State.OPEN:  # the check has closed or reset the connection itself
            return
        if isinstance(event, TextMessage | BytesMessage):
            if self._message is None:
                self._message = StringIO() if isinstance(event, TextMessage) else bytearray()
            message = self._message
            if isinstance(message, StringIO):
                message.write(str(event.data))
            else:
                assert isinstance(event, BytesMessage)
                message += event.data
            if event.message_finished:
                whole = message.getvalue() if isinstance(message, StringIO) else bytes(message)
                events.append(whole)
                self.octets += weigh(whole)
                self._message = None
            return
        self.special = True
        if isinstance(event, Ping):
            events.append(PingReceived(bytes(event.payload)))
        elif isinstance(event, Pong):
            events.append(PongReceived(bytes(event.payload)))
        else:
            assert isinstance(event, CloseConnection)
            events.append(self._end(self._violation(event)))

    def _violation(self, event: CloseConnection) -> Ended:
        """Say what the peer broke: the engine reports it as a close."""
        code = int(event.code)
        for extension in (self._sizes, self._inflate):
            if extension is not None and extension.refusal is not None:
                return Ended(*extension.refusal, clean=False, answer=extension.refusal[0], owed=True)
        phrase = PHRASES.get(CloseCode(code), "")
        if code == CloseCode.INVALID_PAYLOAD and event.reason == "error in extension":
            phrase = "invalid compressed data"
        elif code == CloseCode.PROTOCOL_ERROR:
            begun, compressed = self._message is not None, self._inflate is not None
            phrase = broken_rule(self._head, masked=self._masked, begun=begun, compressed=compressed)
        return Ended(code, phrase, clean=False, answer=code, owed=True)

    def _end(self, ended: Ended) -> Ended:
        self.undecoded = 0
        self.state = State.CLOSED
        self.special = True
        self.stopped = False
        self._engine = self._sizes = self._message = self._held = self._payload = self._close_begun = None
        self._prefix, self._owed, self._head = b"", 0, b""
        return ended

    def close(self) -> list[Event]:
        """Note that our close frame is on its way; return what that brings to light.

        From now on only the peer's close frame is looked for. It may be among the
        octets that were kept for want of room, so the end may be returned at once.
        """
        if self.state is not State.OPEN:
            return []
        self.state = State.CLOSING
        self.stopped = False
        self._engine = self._sizes = self._message = None
        if self._close_begun is not None:
            self._prefix, self._owed, self._close_begun = self._close_begun, 0, None
        self.undecoded = 0
        kept, self._held = self._all_held(), None
        return self._seek_close(kept) if kept else []

    def _seek_close(self, data: bytearray) -> list[Event]:
        """Skip frames until the peer's close frame (RFC 6455 section 5.5.1)."""
        if self.state is State.CLOSED:
            return []
        self._discarded += len(data)
        skipped = min(self._owed, len(data))
        self._owed -= skipped
        data = bytearray(self._prefix + data[skipped:])
        self._prefix = b""
        at = skip_frames(data, 0)
        if at >= len(data):
            self._owed += at - len(data)
        else:
            header, length = frame_extent(data, at)
            stop = at + header + length
            if header and (stop <= len(data) or length > MAX_CONTROL_PAYLOAD):
                return [self._end(read_close(data[at:stop], masked=self._masked))]
            self._prefix = bytes(data[at:])
        if self._discarded > self._limits.max_message:
            return [self._end(Ended(CloseCode.ABNORMAL_CLOSURE, "data instead of a close frame", clean=False))]
        return []

    def eof(self) -> list[Event]:
        """Note that nothing more will come, with or without a close frame."""
        if self.state is State.CLOSED:
            return []
        return [self._end(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))]


def read_close(frame: bytearray, *, masked: bool) -> Ended:
    """Read the close frame that answers ours."""
    control = read_control(frame, 0, masked)
    if control is not None and isinstance(control[0], Ended) and control[0].clean:
        return control[0]._replace(answer=None, owed=False)
    return Ended(CloseCode.ABNORMAL_CLOSURE, "malformed close frame", clean=False)
