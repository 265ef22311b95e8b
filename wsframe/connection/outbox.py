"""The encoded frames that wait to be sent to each client.

Nothing in an outbox ever waits for the peer: frames that the kernel does not take stay, up to a
limit, and then the overflow policy decides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from wsframe.connection.conflation import Keyed, Latest
from wsframe.connection.flusher import Flusher
from wsframe.connection.frame_queue import FRAMES_AT_ONCE, FrameQueue
from wsframe.connection.memory_budget import FRAME_COST, shares_of
from wsframe.doorbell import Signal
from wsframe.limits import Overflow
from wsframe.protocol.frames import LARGE, PING, PONG, Frame, is_control
from wsframe.speedups import shortcut

__all__ = ["Outbox", "OutboxOwner", "put_frame"]

# The bytes that one flush hands to the kernel before others have their turn; 1024 frames end it too.
FLUSHED_AT_ONCE = 1024 * 1024

# Pings of the user's that can wait at the same time: a peer that takes nothing does not answer them either.
MAX_PINGS = 16


class OutboxOwner(Protocol):
    """The events that an outbox reports to its link."""

    def blocked(self, *, progress: bool) -> None: ...
    def unblocked(self) -> None: ...
    def emptied(self) -> None: ...
    def broken(self) -> None: ...
    def overflowed(self) -> None: ...


class Outbox(FrameQueue):
    """The frames that wait to be sent to one client.

    One that has begun to leave is never dropped. ``items`` is empty unless the outbox is
    marked dirty or blocked.

    Args:
        send: Hands bytes to the kernel and returns how many it took.
        owner: The link's sender, which hears whether the kernel takes the bytes.
        limit: The bytes that can wait, with the cost of each frame added.
        overflow: The policy for a message beyond the limit.
        flusher: The reactor's flusher.
        raw_fd: The descriptor ``send`` writes to, if nothing stands between; else -1.
    """

    __slots__ = (
        "_dirty",
        "_few",
        "_flusher",
        "_limit",
        "_noted",
        "_small",
        "_willing",
        "blocked",
        "bytes_sent",
        "drained",
        "dropped",
        "messages_sent",
        "overflow",
        "owner",
        "peak",
        "raw_fd",
        "send",
        "shut",
    )  # fmt: skip
    items: list[Frame]
    byte_count: int

    def __init__(
        self,
        send: Callable[[bytes | memoryview], int],
        owner: OutboxOwner,
        limit: int,
        overflow: Overflow,
        flusher: Flusher,
        raw_fd: int = -1,
    ) -> None:
        super().__init__()
        self.send: Callable[[bytes | memoryview], int] = send
        self._limit = limit
        self._small, self._few = shares_of(limit)
        """This many frames and bytes certainly have room, including the cost of one more frame."""
        self.overflow = overflow
        self._flusher = flusher
        self._dirty = flusher.dirty
        self.owner: OutboxOwner = owner
        self.raw_fd: int = raw_fd
        self.bytes_sent: int = 0
        self.messages_sent: int = 0
        """Messages queued so far, those included that were dropped later."""
        self._noted = 0
        self.peak: int = 0
        """The most bytes that have waited for the kernel, counted as for the limit."""
        self.dropped: int = 0
        self.blocked: bool = False
        """Whether the poller reports when the kernel takes more."""
        self._willing = False
        """Whether the kernel can take more now: the last flush ended because of its length."""
        self.shut: bool = False
        """Whether a close frame is queued or the connection gone: the outbox takes nothing more."""
        self.drained: Signal | None = None
        """Fired when the outbox empties (True) or is given up (False)."""

    def put(self, frame: Frame) -> bool:
        """Queue a message of one frame; return whether it was queued."""
        if self.shut:
            return False
        items = self.items
        size = len(frame)
        if (
            items
            and (len(items) > self._few or self.byte_count + size > self._small or self._latest is not None)
            and not self._make_room(size + FRAME_COST)
        ):
            return False
        if not items:
            if self._dirty:
                self._dirty.append(self)
            else:
                self._flusher.mark(self)
        items.append(frame)
        self.byte_count += size
        self.messages_sent += 1
        if self.blocked:
            self._note()
        return True

    def put_latest(self, key: Hashable, frame: Frame) -> bool:
        """Queue a message in the place of the one of the same key that still waits, if there is one.

        Raises:
            Exception: The error of the key's ``__hash__`` or ``__eq__``; nothing has been queued then.
        """
        number = hash(key)
        if self.shut:
            return False
        latest = self._latest
        old = None if latest is None else latest.find(key, number)
        # A comparison may have sent the frames that waited: then they are not here any more.
        if old is not None and latest is self._latest and len(old) and not self._has_begun(old):
            grown = len(frame) - len(old)
            if grown <= 0 or self._beyond(grown) <= 0:
                old.hold(frame)
                self.byte_count += grown
                if self.blocked:
                    self._note()
                return True
            if self.overflow == "drop_newest":
                self.dropped += 1
                return False
            self._bury(old)  # no room in its place: the new one is treated like any other message
        keyed = Keyed(key, number, frame)
        if not self.put(keyed):
            return False
        self._latest = self._latest or Latest()  # all may have been sent in the meantime, to make room
        self._latest.add(keyed)
        if self.blocked:
            self._note()
        return True

    def _has_begun(self, frame: Frame) -> bool:
        return self._offset > 0 and self.items[self._start] is frame

    def put_run(self, frames: Sequence[Frame]) -> bool:
        """Queue a message of several frames; return whether it was queued."""
        size = sum(map(len, frames))
        if self.shut or (self.items and not self._make_room(size + FRAME_COST * len(frames))):
            return False
        if not self.items:
            self._flusher.mark(self)
        self.items += frames
        self.byte_count += size
        self.messages_sent += 1
        if self.blocked:
            self._note()
        return True

    def put_urgent(self, frame: bytes) -> bool:
        """Queue a ping or pong for the next frame boundary, before messages.

        It is neither refused nor dropped because there is no room. While the kernel refuses
        bytes only the newest pong is kept (RFC 6455 section 5.5.3), which bounds how much
        a flood of pings can make us hold.
        """
        if self.shut:
            return False
        if not self.items:
            self._flusher.mark(self)
        items = self.items
        at = self._start + (1 if self._offset else 0)
        while at < len(items) and self.is_control(items[at]):
            if self.blocked and items[at][0] & 0x0F == PONG == frame[0] & 0x0F:
                self.byte_count -= len(items.pop(at))
            else:
                at += 1
        items.insert(at, frame)
        self.byte_count += len(frame)
        if self.blocked:
            self._note()
        return True

    def put_ping(self, frame: bytes) -> bool:
        """Queue a ping of the user's like :meth:`put_urgent`; no more than 16 wait for the kernel."""
        if pings_waiting(self.items, self._start + (1 if self._offset else 0)) >= MAX_PINGS:
            if not self.blocked:
                self.flush()
            if self.blocked:
                return False
        return self.put_urgent(frame)

    def put_close(self, frame: bytes) -> bool:
        """Queue a close frame after everything; the outbox takes nothing more after it."""
        if self.shut:
            return False
        if not self.items:
            self._flusher.mark(self)
        self.items.append(frame)
        self.byte_count += len(frame)
        self.shut = True
        if self.blocked:
            self._note()
        return True

    def _note(self) -> None:
        """Count the bytes that wait for the kernel; others are gone before another task has a turn."""
        budget = self._flusher.budget
        weight = self.weight
        if weight > self.peak:
            self.peak = weight
        budget.held += weight - self._noted
        self._noted = weight
        if budget.exceeded:
            self._flusher.doorbell.ring()

    def _make_room(self, cost: int) -> bool:
        """Make room for a message by the overflow policy, if there is none; return whether it can be queued."""
        if self._beyond(cost) <= 0:
            return True
        if not self.blocked or self._willing:
            # A hook that sends much without waiting is not a slow client: ask the kernel first.
            self.flush(whole=True)
            if self.shut:
                return False
            if not self.items or self._beyond(cost) <= 0:
                return True
        if self.overflow == "drop_oldest":
            while self._beyond(cost) > 0 and self._drop_oldest():
                self.dropped += 1
            return True
        self.dropped += 1
        if self.overflow == "disconnect":
            self.owner.overflowed()
        return False

    def _beyond(self, cost: int) -> int:
        """Return by how much a message would exceed the limit; pings and pongs do not count."""
        cost += self.counted
        for at in range(self._start + (1 if self._offset else 0), self._behind_urgent()):
            cost -= len(self.items[at]) + FRAME_COST
        return cost - self._limit

    def _drop_oldest(self) -> bool:
        """Drop the first message that has not begun to leave; return whether there was one."""
        items = self.items
        begin = self._behind_urgent()
        while begin < len(items) and not self.starts_message(items[begin]):
            begin += 1
        end = begin
        while end < len(items) and not len(items[end]):
            end += 1
        if end == len(items):
            return False
        ended = False
        while not ended:
            self.byte_count -= len(items[end])
            ended = self.ends_message(items[end])
            end += 1
        self._remove(begin, end)
        return True

    def flush(self, sent: int = -1, *, whole: bool = False) -> None:
        """Hand as much to the kernel as it takes now.

        Args:
            sent: Bytes of all that wait that it has taken already; -1 if it has not been asked.
            whole: Whether to go on for as long as it takes more; else others have their turn
                after 1024 frames or 1 MiB, and the poller reports when this outbox has its own.
        """
        items = self.items
        if not items:
            return
        offered = self.byte_count
        frames = until = 0
        while True:
            if sent < 0:
                count = len(items)
                if self._offset or self.byte_count > LARGE or count > FRAMES_AT_ONCE or self._latest is not None:
                    data = self._gather()
                else:
                    small: list[bytes] = items  # type: ignore[assignment]  # a LargeFrame alone is more than LARGE
                    data = small[0] if count == 1 else b"".join(small)
                offered = len(data)
                try:
                    sent = self.send(data) if offered else 0
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.owner.broken()
                    return
            self.bytes_sent += sent
            if sent == self.byte_count:
                items.clear()
                self._latest = None
                self.byte_count = self._offset = self._start = self._holes = 0
                if self.blocked or self.shut or self.drained is not None:
                    self._emptied()
                return
            until = until or self.bytes_sent - sent + FLUSHED_AT_ONCE
            frames += self._advance(sent)
            self._willing = sent == offered
            if not self._willing or not (whole or (frames < FRAMES_AT_ONCE and self.bytes_sent < until)):
                self.blocked = True
                self._note()
                self.owner.blocked(progress=sent > 0)
                return
            sent = -1

    def _emptied(self) -> None:
        if self.blocked:
            self.blocked = False
            self._note()
            self.owner.unblocked()
        self.owner.emptied()
        if self.drained is not None:
            self._tell_drained(True)

    def _tell_drained(self, outcome: bool) -> None:
        signal, self.drained = self.drained, None
        if signal is not None:
            signal.fire(outcome)

    def drop_unsent(self) -> None:
        """Drop every frame that has not begun to leave, for a close that must not wait; a close frame stays."""
        begun = self._start + (1 if self._offset else 0)
        self._keep([frame for frame in self.items[begun:] if len(frame) and self.is_close(frame)])
        if self.blocked:
            self._note()

    def frames(self) -> tuple[tuple[bytes, ...], int]:
        """Return the frames that wait, and how many bytes of the first have left."""
        return tuple(bytes(frame) for frame in self.items[self._start :] if len(frame)), self._offset

    def put_back(self, frames: Sequence[bytes], begun: int, *, blocked: bool) -> None:
        """Let frames wait that :meth:`frames` of another outbox returned; nothing has been queued here before."""
        if not frames:
            return
        if not blocked:
            self._flusher.mark(self)
        self.items += frames
        self._offset = begun
        self.byte_count = sum(map(len, frames)) - begun
        if blocked:
            self.blocked = True
            self._note()
            self.owner.blocked(progress=False)

    def give_up(self) -> None:
        """Drop everything and take nothing more: the connection is gone."""
        self.shut = True
        self.raw_fd = -1
        if self.items or self._noted:
            self._clear()
            self._note()
        self.blocked = False
        if self.drained is not None:
            self._tell_drained(False)


def pings_waiting(items: list[Frame], at: int) -> int:
    """Count the pings before the messages."""
    count = 0
    while at < len(items) and is_control(items[at]):
        count += items[at][0] & 0x0F == PING
        at += 1
    return count


# For outboxes that are open, far from their limit and not blocked; C leaves all others to the method.
put_frame: Callable[[Outbox, Frame], bool] = shortcut("put_frame", Outbox.put)
