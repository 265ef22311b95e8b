"""The keys that a node owns: leases that are renewed together, and given up in time.

A node acts for a key only while it holds its lease by its own clock, half a second less than the engine counts
(``MARGIN``). The clock also runs while the machine sleeps, and is read before a request is sent: a node that was
stopped or cut off finds its lease over before another can have it. It looks each time the event loop has waited
(``Sentry``), before any task that waited goes on.

All leases of a node are renewed in one request, three times before their end, so that two of them can fail: each
begins at its time, whether the one before was answered or not. One that fails is repeated after 0.3 seconds.

A node's writes elsewhere carry the token, and a store that refuses smaller ones is safe from a node that was
stopped in the middle of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Protocol

import trio

from wsframe.backplane.boottime import boottime
from wsframe.backplane.interface import MARGIN, Lease
from wsframe.doorbell import Doorbell
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["LEASE", "SHORTEST", "Leases", "NodeLeases"]

LEASE = 5.0
"""Seconds of a lease."""
SHORTEST = 2.0
"""Seconds of the shortest lease that leaves time for three requests and the margin."""
RENEWALS = 3.3
"""Renewals that begin before the end of a lease: the third leaves time for its answer."""
AGAIN = 0.3
"""Seconds after a renewal that failed until the next one."""
FRESH = 2.0
"""Seconds for which an answer that grants nothing counts: a node that wants a lease asks again before."""


class Leases(Protocol):
    """The part of a backplane that grants leases."""

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]: ...
    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]: ...
    async def release(self, leases: Sequence[Lease]) -> None: ...


class Sentry(trio.abc.Instrument):
    """Has overdue leases ended as soon as the event loop has waited, before any task goes on.

    Args:
        look: Ends them. It does not raise.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look

    def after_io_wait(self, timeout: float) -> None:
        """Look."""
        self._look()


class NodeLeases:
    """The leases of one node.

    Args:
        leases: Grants them: a backplane.
        lost: Called in trio's thread, mostly outside of any task, with a key whose lease is over and was not given
            back. The program must do nothing for it any more. It does not raise.
        seconds: The length of a lease.
        clock: The clock of ``Lease.until``.

    Raises:
        ValueError: For leases that are too short.
    """

    def __init__(
        self,
        leases: Leases,
        lost: Callable[[str], object],
        *,
        seconds: float = LEASE,
        clock: Callable[[], float] = boottime,
    ) -> None:
        if not seconds >= SHORTEST:
            raise ValueError(f"a lease is at least {SHORTEST:g} s, not {seconds}")
        self._leases = leases
        self._lost = lost
        self._seconds = seconds
        self._clock = clock
        self._held: dict[str, Lease] = {}
        self._over: list[Lease] = []
        """Leases that are lost here, but that a renewal with a late answer can have prolonged."""
        self._earliest = inf
        """No lease ends before this moment."""
        self._failed = Doorbell()
        """Rung when a renewal has failed."""
        self._fruitless: tuple[float, float] | None = None
        """When requests began to bring neither a lease nor an owner's name, and when the last such request was."""

    @property
    def keys(self) -> list[str]:
        """The keys that are held now."""
        return [key for key in self._held if self.holds(key)]

    @property
    def fruitless(self) -> float:
        """The seconds for which the engine has answered no request for leases, as far as this node can tell."""
        if self._fruitless is None or self._clock() > self._fruitless[1] + FRESH:
            return 0.0
        return self._clock() - self._fruitless[0]

    def holds(self, key: str) -> bool:
        """Return whether the node can act for a key now: ask before each step, however short the last one was."""
        lease = self._held.get(key)
        return lease is not None and self._clock() < lease.until

    def lease(self, key: str) -> Lease | None:
        """Return the lease of a key that is held now; send its token with every write elsewhere."""
        return self._held[key] if self.holds(key) else None

    def left(self, lease: Lease) -> float:
        """Return the seconds for which the node can act by a lease, renewals included; not above 0 once it is over."""
        held = self._held.get(lease.key)
        return -inf if held is None or held.token != lease.token else held.until - self._clock()

    async def acquire(self, keys: Iterable[str]) -> dict[str, str]:
        """Acquire keys in one request; return the holders of the others (``""``: unknown)."""
        self._end_overdue()
        wanted = [key for key in dict.fromkeys(keys) if not self.holds(key)]
        others: dict[str, str] = {}
        if not wanted:
            return others
        answers = await self._leases.acquire(wanted, self._seconds)
        self._note(fruitful=any(answers))
        for key, got in zip(wanted, answers, strict=True):
            if isinstance(got, str):
                others[key] = got
            elif self._clock() < got.until:
                self._held[key] = got
                self._earliest = min(self._earliest, got.until)
            else:
                others[key] = ""  # the answer came too late to act on it
                self._over.append(got)
        return others

    def _note(self, *, fruitful: bool) -> None:
        now = self._clock()
        self._fruitless = None if fruitful else (now if self._fruitless is None else self._fruitless[0], now)

    async def release(self, keys: Iterable[str]) -> None:
        """Give keys back: the node has stopped acting for them."""
        given = [lease for key in keys if (lease := self._held.pop(key, None)) is not None]
        if given:
            await self._leases.release(given)

    async def release_of_dead(self, tokens: Mapping[str, int]) -> None:
        """Give back leases that other processes had, by their tokens. Each has surely ended: nobody acts by them."""
        await self._leases.release([Lease(key, token, -inf) for key, token in tokens.items()])

    async def run(self) -> None:
        """Renew all leases and report those that are lost, until cancelled."""
        sentry = Sentry(self._look)
        trio.lowlevel.add_instrument(sentry)
        try:
            async with ProtectedNursery() as nursery:
                nursery.start_soon(self._watch, again=True)
                while True:
                    with trio.move_on_after((self._seconds - MARGIN) / RENEWALS):
                        await self._failed.wait()
                        await trio.sleep(AGAIN)
                    nursery.start_soon(self._turn)
        finally:
            trio.lowlevel.remove_instrument(sentry)

    async def _turn(self) -> None:
        await self._renew()
        await self._give_back()

    async def _renew(self) -> None:
        """Renew the leases held. One that could not be renewed is held to its end: the engine can be back before."""
        asked = [lease for key, lease in self._held.items() if self.holds(key)]
        if not asked:
            return
        answers: Sequence[Lease | None] = ()
        with trio.move_on_after(self._seconds - MARGIN):  # a later answer is of no use
            answers = await self._leases.renew(asked, self._seconds)
        self._note(fruitful=any(answers))
        if not answers or None in answers:
            self._failed.ring()
        for renewed in answers:
            held = None if renewed is None else self._held.get(renewed.key)
            if renewed and held and held.token == renewed.token and held.until < renewed.until:
                self._held[renewed.key] = renewed

    async def _give_back(self) -> None:
        """Give back the leases that are lost here: the engine can still have them for this node.

        It repeats this for the length of a lease: a renewal can be delayed in the network, and the engine can be out of
        reach.
        """
        earliest = self._clock() - self._seconds - MARGIN
        self._over = [lease for lease in self._over if lease.until > earliest]
        if self._over:
            await self._leases.release(self._over)

    async def _watch(self) -> None:
        """Report each lease at its end."""
        while True:
            self._end_overdue()
            await trio.sleep(min(max(self._earliest - self._clock(), 0.0), MARGIN))

    def _look(self) -> None:
        if self._clock() >= self._earliest:
            self._end_overdue()

    def _end_overdue(self) -> None:
        now = self._clock()
        for key, lease in tuple(self._held.items()):
            if lease.until <= now:
                del self._held[key]
                self._over.append(lease)
                self._lost(key)
        self._earliest = min((lease.until for lease in self._held.values()), default=inf)
