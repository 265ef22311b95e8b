"""What waits to be sent to each client.

An outbox holds encoded frames. Nothing in it ever waits for the peer: what the kernel
does not take stays, up to a limit in octets, and then the overflow policy decides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from wsframe.connection.flusher import Flusher
from wsframe.doorbell import Signal
from wsframe.limits import Overflow
from wsframe.protocol.frames import (
    LARGE,
    PING,
    PONG,
    Frame,
    LargeFrame,
    ends_message,
    is_close,
    is_control,
    starts_message,
)

__all__ = ["Outbox", "Wire"]


# Pings of the user's that wait at once: a peer that takes nothing answers none of them either.
MAX_PINGS = 16


class Wire(Protocol):
    """What an outbox tells the link it belongs to."""

    def blocked(self, *, progress: bool) -> None: ...
    def unblocked(self) -> None: ...
    def emptied(self) -> None: ...
    def broken(self) -> None: ...
    def overflowed(self) -> None: ...


class Outbox:
    """The frames that wait to be sent to one client.

    Frames are whole; a fragmented message is a run of them. One that has begun to leave
    is never dropped. ``items`` is empty unless the outbox is marked dirty or blocked.

    Args:
        send: Hands octets to the kernel and returns how many it took.
        wire: The link, told what becomes of the octets.
        limit: Octets that may wait.
        overflow: What happens to a message beyond the limit.
        flusher: Of the reactor.
        raw_fd: The descriptor ``send`` writes to, if nothing stands between; else -1.
    """

    __slots__ = (
        "_dirty",
        "_flusher",
        "_latest",
        "_limit",
        "_noted",
        "_offset",
        "_overflow",
        "_send",
        "blocked",
        "drained",
        "dropped",
        "items",
        "octets",
        "octets_sent",
        "raw_fd",
        "shut",
        "wire",
    )  # fmt: skip

    # What kind of frame it is, as another version of the protocol may tell it otherwise.
    is_control = staticmethod(is_control)
    is_close = staticmethod(is_close)
    starts_message = staticmethod(starts_message)
    ends_message = staticmethod(ends_message)

    def __init__(
        self,
        send: Callable[[bytes | memoryview], int],
        wire: Wire,
        limit: int,
        overflow: Overflow,
        flusher: Flusher,
        raw_fd: int = -1,
    ) -> None:
        self._send = send
        self._limit = limit
        self._overflow = overflow
        self._flusher = flusher
        self._dirty = flusher.dirty
        self._offset = 0
        self._latest: dict[Hashable, Frame] | None = None
        """The frame last queued under each key; all of them wait in ``items``."""
        self.wire = wire
        self.raw_fd = raw_fd
        self.items: list[Frame] = []
        self.octets = 0
        self.octets_sent = 0
        self._noted = 0
        self.dropped = 0
        self.blocked = False
        """Whether the kernel refuses octets."""
        self.shut = False
        """Whether a close frame is queued or the connection gone: nothing more is taken."""
        self.drained: Signal | None = None
        """Fired when the outbox empties (True) or is given up (False)."""

    def put(self, frame: Frame) -> bool:
        """Queue a message of one frame; return whether it was queued."""
        if self.shut:
            return False
        items = self.items
        if items and self.octets + len(frame) > self._limit and not self._make_room(len(frame)):
            return False
        if not items:
            if self._dirty:
                self._dirty.append(self)
            else:
                self._flusher.mark(self)
        items.append(frame)
        self.octets += len(frame)
        if self.blocked:
            self._note()
        return True

    def put_latest(self, key: Hashable, frame: Frame) -> bool:
        """Queue a message in the place of the one of the same key that still waits, if there is one."""
        if self.shut:
            return False
        if len(frame) == 2:
            frame = bytes(
                bytearray(bytes(frame))
            )  # empty messages share one object, and frames are told apart by identity
        items = self.items
        latest = self._latest or {}
        old = latest.get(key)
        if old is not None and not (self._offset and items[0] is old):
            at = next(at for at, item in enumerate(items) if item is old)
            if len(frame) <= len(old) or self.octets + len(frame) - len(old) <= self._limit:
                items[at] = latest[key] = frame
                self.octets += len(frame) - len(old)
                if self.blocked:
                    self._note()
                return True
            if self._overflow == "drop_newest":
                self.dropped += 1
                return False
            # No room in the old one's place: it is judged like any other message.
            del items[at], latest[key]
            self.octets -= len(old)
        if not self.put(frame):
            return False
        self._latest = self._latest or {}  # it may have been sent meanwhile, to make room
        self._latest[key] = frame
        return True

    def _forget(self, gone: Sequence[Frame]) -> None:
        """Let go of frames that wait no more: what comes under their keys is queued anew."""
        if self._latest:
            ids = set(map(id, gone))
            self._latest = {key: frame for key, frame in self._latest.items() if id(frame) not in ids}

    def put_run(self, frames: Sequence[Frame]) -> bool:
        """Queue a message of several frames; return whether it was queued."""
        size = sum(map(len, frames))
        if self.shut or (self.items and self.octets + size > self._limit and not self._make_room(size)):
            return False
        self._mark_if_empty()
        self.items += frames
        self.octets += size
        if self.blocked:
            self._note()
        return True

    def put_urgent(self, frame: bytes) -> bool:
        """Queue a ping or pong for the next frame boundary, ahead of messages.

        It is neither refused nor dropped for want of room. While the kernel refuses
        octets only the newest pong is kept (RFC 6455 section 5.5.3), which bounds what a
        flood of pings can make us hold.
        """
        if self.shut:
            return False
        self._mark_if_empty()
        items = self.items
        at = 1 if self._offset else 0
        while at < len(items) and self.is_control(items[at]):
            if self.blocked and items[at][0] & 0x0F == PONG == frame[0] & 0x0F:
                self.octets -= len(items.pop(at))
            else:
                at += 1
        items.insert(at, frame)
        self.octets += len(frame)
        return True

    def put_ping(self, frame: bytes) -> bool:
        """Queue a ping of the user's like :meth:`put_urgent`; no more than 16 wait for the kernel."""
        if pings_waiting(self.items, 1 if self._offset else 0) >= MAX_PINGS:
            if not self.blocked:
                self.flush()
            if self.blocked:
                return False
        return self.put_urgent(frame)

    def put_close(self, frame: bytes) -> bool:
        """Queue a close frame behind everything; nothing more is taken after it."""
        if self.shut:
            return False
        self._mark_if_empty()
        self.items.append(frame)
        self.octets += len(frame)
        self.shut = True
        return True

    def _note(self) -> None:
        """Count what waits for the kernel; what does not is gone before anybody else has a turn."""
        budget = self._flusher.budget
        budget.held += self.octets - self._noted
        self._noted = self.octets
        if budget.exceeded:
            self._flusher.doorbell.ring()

    def _mark_if_empty(self) -> None:
        if not self.items:
            self._flusher.mark(self)

    def _make_room(self, size: int) -> bool:
        """Apply the overflow policy; return whether the message may be queued now."""
        if not self.blocked:
            # A hook that sends much without waiting is not a slow client: ask the kernel first.
            self.flush()
            if self.shut:
                return False
        beyond = self._beyond(size)
        if beyond <= 0 or not self.items:
            return True
        if self._overflow == "drop_oldest":
            while self._beyond(size) > 0 and self._drop_oldest():
                self.dropped += 1
            return True
        self.dropped += 1
        if self._overflow == "disconnect":
            self.wire.overflowed()
        return False

    def _beyond(self, size: int) -> int:
        """Return by how many octets a message would exceed the limit; pings and pongs do not count."""
        items = self.items
        urgent = 0
        at = 1 if self._offset else 0
        while at < len(items) and self.is_control(items[at]):
            urgent += len(items[at])
            at += 1
        return self.octets - urgent + size - self._limit

    def _drop_oldest(self) -> bool:
        """Drop the first message that has not begun to leave; return whether there was one."""
        items = self.items
        first = 1 if self._offset else 0
        while first < len(items) and (self.is_control(items[first]) or not self.starts_message(items[first])):
            first += 1
        if first == len(items):
            return False
        kept: list[Frame] = []
        at, ended = first, False
        while not ended:
            frame = items[at]
            at += 1
            if self.is_control(frame):
                kept.append(frame)
            else:
                self.octets -= len(frame)
                ended = self.ends_message(frame)
        self._forget(items[first:at])
        items[first:at] = kept
        return True

    def flush(self, sent: int = -1) -> None:
        """Hand to the kernel what it takes now.

        Args:
            sent: Octets it has taken already, of all that wait; -1 if it has not been asked.
        """
        items = self.items
        if not items:
            return
        offered = self.octets
        while True:
            if sent < 0:
                if self._offset or self.octets > LARGE:
                    data = self._gather()
                else:
                    small: list[bytes] = items  # type: ignore[assignment]  # a LargeFrame alone is more than LARGE
                    data = small[0] if len(small) == 1 else b"".join(small)
                offered = len(data)
                try:
                    sent = self._send(data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.wire.broken()
                    return
            self.octets_sent += sent
            if sent == self.octets:
                items.clear()
                self._latest = None
                self.octets = self._offset = 0
                if self.blocked or self.shut or self.drained is not None:
                    self._emptied()
                return
            self._advance(sent)
            if sent < offered:
                self.blocked = True
                self._note()
                self.wire.blocked(progress=sent > 0)
                return
            sent = -1

    def _gather(self) -> bytes | memoryview:
        """Return what to send next: the rest of a begun or large frame, or small ones joined."""
        items = self.items
        first = items[0]
        if self._offset or len(first) >= LARGE:
            return first.rest(self._offset) if isinstance(first, LargeFrame) else memoryview(first)[self._offset :]
        size = count = 0
        for frame in items:
            if size + len(frame) > LARGE:
                break
            size += len(frame)
            count += 1
        return b"".join(map(bytes, items[:count]))

    def _advance(self, sent: int) -> None:
        self.octets -= sent
        sent += self._offset
        done = 0
        for frame in self.items:
            if sent < len(frame):
                break
            sent -= len(frame)
            done += 1
        self._forget(self.items[:done])
        del self.items[:done]
        self._offset = sent

    def _emptied(self) -> None:
        if self.blocked:
            self.blocked = False
            self._note()
            self.wire.unblocked()
        self.wire.emptied()
        self._tell_drained(True)

    def _tell_drained(self, outcome: bool) -> None:
        signal, self.drained = self.drained, None
        if signal is not None:
            signal.fire(outcome)

    def drop_unsent(self) -> None:
        """Drop every frame that has not begun to leave, for a close that must not wait; a close frame stays."""
        items = self.items
        begun = 1 if self._offset else 0
        items[begun:] = [frame for frame in items[begun:] if self.is_close(frame)]
        self._latest = None
        self.octets = sum(map(len, items)) - self._offset
        if self.blocked:
            self._note()

    def give_up(self) -> None:
        """Drop everything and take nothing more: the connection is gone."""
        self.shut = True
        self.raw_fd = -1
        self.items.clear()
        self._latest = None
        self.octets = self._offset = 0
        self._note()
        self.blocked = False
        self._tell_drained(False)


def pings_waiting(items: list[Frame], at: int) -> int:
    """Count the pings ahead of the messages."""
    count = 0
    while at < len(items) and is_control(items[at]):
        count += items[at][0] & 0x0F == PING
        at += 1
    return count
