"""Pings that a caller of :meth:`Client.measure_latency` waits for."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom

from wsframe.connection.outbox import Outbox
from wsframe.doorbell import Signal
from wsframe.protocol.deadlines import PING_BYTES
from wsframe.protocol.frames import PING, control_frame

__all__ = ["Pings"]

MAX_PINGS = 16


class Pings:
    """The pings of one client whose pongs callers wait for."""

    __slots__ = ("_clock", "_outbox", "_waiting")

    def __init__(self, outbox: Outbox, clock: Callable[[], float]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._waiting: dict[bytes, tuple[Signal, float]] | None = None
        """Payload to signal and time sent."""

    def send(self) -> Signal | None:
        """Send a ping; return the signal of its pong, with the seconds as its value; None if it was not queued."""
        payload = urandom(PING_BYTES)
        if not self._outbox.put_ping(control_frame(PING, payload)):
            return None
        signal = Signal()
        self._waiting = self._waiting or {}
        if len(self._waiting) >= MAX_PINGS:  # a peer that does not answer pings, or callers that gave up
            self._waiting.pop(next(iter(self._waiting)))[0].fire()
        self._waiting[payload] = signal, self._clock()
        return signal

    def take_pong(self, payload: bytes) -> bool:
        """Fire the signal of a ping; return whether the pong answers one."""
        if not self._waiting or payload not in self._waiting:
            return False
        signal, since = self._waiting.pop(payload)
        signal.fire(self._clock() - since)
        return True

    def freeze(self) -> tuple[tuple[bytes, float], ...]:
        """Return the payloads of the pings that wait for pongs, with the seconds since they were sent."""
        now = self._clock()
        return tuple((payload, now - since) for payload, (_, since) in (self._waiting or {}).items())

    def thaw(self, pings: tuple[tuple[bytes, float], ...]) -> None:
        """Take the pongs of pings that nobody waits for any longer."""
        now = self._clock()
        self._waiting = {payload: (Signal(), now - age) for payload, age in pings} or None

    def give_up(self) -> None:
        """Fire all signals: no pong will come."""
        for signal, _ in (self._waiting or {}).values():
            signal.fire()
