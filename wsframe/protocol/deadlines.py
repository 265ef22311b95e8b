"""The deadlines of one connection: when to ping it, when to give it up (RFC 6455 section 5.5.2)."""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import NamedTuple

from wsframe.limits import Timeouts

__all__ = ["PING_BYTES", "DeadlineOffsets", "Deadlines", "Due", "Patience"]

# Bytes of payload of each of our pings. All look alike, so that a peer cannot answer the keepalive and keep
# a caller waiting that measures the latency.
PING_BYTES = 8

# Looks at hooks that do not get on, before they count as stuck. Each is a turn of its own, so that
# a machine that stood still for longer than all of them has used up one.
LOOKS = 4
# Deadlines come in steps of a quarter second: a short timeout has no room for four looks.
LEAST_STEP = 0.25
# Times the timeout that an end waits for hooks that get on. With the default of 5 s it is the minute
# that Chromium gives the closing handshake.
LONGEST = 12


class Due(Enum):
    """The action for a deadline that has passed."""

    PING = "ping"
    PING_TIMEOUT = "ping timeout"
    WRITE_STALL = "write stall"
    CLOSE = "close timeout"
    RESUME = "resume"


class DeadlineOffsets(NamedTuple):
    """The deadlines of an open connection in seconds since or until now, for a clock that begins elsewhere."""

    heard: float
    ping: float | None
    ping_payload: bytes
    latency: float | None
    blocked: float | None
    in_kernel: int
    resume: float | None


class Deadlines:
    """When the next thing is due for one connection.

    Times are seconds of one clock, given by the caller. Receiving and sending only
    note the time; nothing is scheduled on the path of a message.
    """

    __slots__ = (
        "_in_kernel", "blocked_at", "close_by", "heard_at", "latency", "paused",
        "ping_at", "ping_payload", "resume_at", "scheduled", "timeouts",
    )  # fmt: skip

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self.timeouts: Timeouts = timeouts
        self.heard_at: float = now
        self.ping_at: float | None = None
        """When the ping was sent that nothing has answered yet."""
        self.ping_payload: bytes = b""
        self.latency: float | None = None
        """Seconds from the last ping to its pong."""
        self.paused: bool = False
        self.blocked_at: float | None = None
        """Since when the peer has taken none of the bytes that wait for it."""
        self._in_kernel = 0
        """The bytes that it had not acknowledged then."""
        self.close_by: float | None = None
        """By when the end must have gone on; from its beginning on, nothing is pinged."""
        self.resume_at: float | None = None
        """When a client that sent too fast is read again."""
        self.scheduled: float = inf
        """When the pool will look at this connection; :meth:`due` is not asked before."""

    def next(self) -> float:
        """Return when :meth:`due` is to be asked next; ``inf`` for never."""
        # Once closing, the end's own deadline holds.
        when = self.ping_deadline() if self.close_by is None else self.close_by
        if self.blocked_at is not None:
            when = min(when, self.blocked_at + self.timeouts.write_stall)
        if self.resume_at is not None and self.resume_at < when:
            when = self.resume_at
        return when

    def ping_deadline(self) -> float:
        interval = self.timeouts.ping_interval
        if interval is None or self.blocked_at is not None:  # it can wait after a large frame; write_stall watches
            return inf
        if self.ping_at is None or self.heard_at > self.ping_at:
            return self.heard_at + interval
        # A paused peer's pong waits after data that we do not read: its silence is ours. But the kernel of one that
        # has gone answers with a reset, and the kernel of a dead one does not acknowledge.
        return self.ping_at + (interval if self.paused else self.timeouts.ping_timeout)

    def sent_ping(self, payload: bytes, now: float) -> None:
        """Note that a ping was sent."""
        self.ping_payload, self.ping_at = payload, now

    def take_pong(self, payload: bytes, now: float) -> bool:
        """Note a pong; return whether it answers our last ping."""
        if payload != self.ping_payload or not payload:
            return False
        self.ping_payload = b""
        if self.ping_at is not None:  # else a pause came between
            self.latency = now - self.ping_at
            self.ping_at = None
        return True

    def resume(self, now: float) -> None:
        """Note that the peer is read again: its silence counts from now on."""
        self.paused = False
        self.heard_at, self.ping_at = now, None

    def block(self, now: float, in_kernel: int | None, *, progress: bool) -> None:
        """Note that the kernel refuses bytes.

        Args:
            now: The time.
            in_kernel: Bytes that the peer has not acknowledged; None if that is not known.
            progress: Whether it has taken some first.
        """
        if self.blocked_at is None or progress:
            self.blocked_at = now
            self._in_kernel = in_kernel or 0

    def unblock(self, now: float) -> None:
        """Note that the kernel has taken everything."""
        self.blocked_at = None
        if self.ping_at is not None:
            # The ping may have waited after a large frame all the time: ask again.
            self.heard_at, self.ping_at = now, None

    def stalled(self, now: float, in_kernel: int | None) -> bool:
        """Return whether a peer takes nothing; a window that moves slowly is not a stall."""
        if in_kernel is None or in_kernel >= self._in_kernel:
            return True
        self._in_kernel, self.blocked_at = in_kernel, now
        return False

    def freeze(self, now: float) -> DeadlineOffsets:
        """Return the deadlines of a connection that is open."""
        return DeadlineOffsets(
            now - self.heard_at,
            None if self.ping_at is None else now - self.ping_at,
            self.ping_payload,
            self.latency,
            None if self.blocked_at is None else now - self.blocked_at,
            self._in_kernel,
            None if self.resume_at is None else self.resume_at - now,
        )

    def thaw(self, times: DeadlineOffsets, now: float) -> None:
        """Go on with deadlines that were frozen."""
        self.heard_at = now - times.heard
        self.ping_at = None if times.ping is None else now - times.ping
        self.ping_payload, self.latency = times.ping_payload, times.latency
        self.blocked_at = None if times.blocked is None else now - times.blocked
        self._in_kernel = times.in_kernel
        self.resume_at = None if times.resume is None else now + times.resume

    def due(self, now: float) -> list[Due]:
        """Return the actions due at ``now``. Asking has no effect: the caller notes its actions."""
        dues = []
        if self.close_by is not None and now >= self.close_by:
            dues.append(Due.CLOSE)
        if self.resume_at is not None and now >= self.resume_at:
            dues.append(Due.RESUME)
        if self.blocked_at is not None and now >= self.blocked_at + self.timeouts.write_stall:
            dues.append(Due.WRITE_STALL)
        if self.close_by is None and now >= self.ping_deadline():
            waiting = self.ping_at is not None and self.heard_at <= self.ping_at and not self.paused
            dues.append(Due.PING_TIMEOUT if waiting else Due.PING)
        return dues


class Patience:
    """How long the peer's end waits for hooks to take the messages before it.

    It waits for as long as they get on, within bounds.

    Args:
        timeout: Seconds without progress after which they count as stuck.
    """

    __slots__ = ("_left", "_left_in_all", "_looks", "step")

    def __init__(self, timeout: float) -> None:
        self._looks = max(1, int(min(LOOKS, timeout / LEAST_STEP)))
        self.step: float = timeout / self._looks
        """Seconds from one look to the next."""
        self._left = self._looks
        self._left_in_all = self._looks * LONGEST

    def lasts(self, *, progress: bool) -> bool:
        """Note whether there was progress since the last look; return whether to wait for another step."""
        self._left = self._looks if progress else self._left - 1
        self._left_in_all -= 1
        return self._left > 0 and self._left_in_all > 0
