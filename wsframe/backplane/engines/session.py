"""One connection to an engine, from its first probe to the first one that does not come back.

Client libraries miss the end of a connection, connect again in silence, or receive nothing while they look healthy. So
a node sends itself messages on the way that all messages take. As long as they come back, the connection works; when
one does not, this session ends, and the next one begins with a new connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, islice

import trio

from wsframe.backplane.engines.acquisition import Acquisition
from wsframe.backplane.engines.engine import EngineLink, EnginePublication, LinkLost
from wsframe.backplane.engines.envelope import EVERY_TOPIC, PLAIN, Envelope, unwrap
from wsframe.backplane.engines.numbering import LastSeen
from wsframe.backplane.engines.publications import Publications
from wsframe.backplane.interface import Position, Told
from wsframe.doorbell import Doorbell, Signal
from wsframe.log import Log, log_for
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["EngineSession", "NoEcho"]

logger: Log = log_for(__name__)

PROBE_EVERY = 0.5
"""Seconds between two probes."""
LOOKS, LOOK = 10, 0.1
"""Looks for a probe, and the seconds between them. They are counted: a process that was stopped misses only one."""
CHUNK = 512
"""Topics of one request."""
SUBSCRIBED_WITHIN = 10.0
PUBLISHED_WITHIN = 3.0
"""Seconds for a request of this size, and for a batch."""
MOST_HELD = 1_000
"""Messages of a topic that wait until it is reported as wanted."""


class NoEcho(Exception):
    """A message of our own has not come back through the engine."""


class EngineSession:
    """The topics, probes and messages of one connection.

    Args:
        node: The name of the node.
        told: The receiver of the reports.
        wants: The topics that the node wants, which change while it runs.
        publications: The messages that wait.
        up: Called once, as soon as every topic is subscribed and a probe has come back.
        distrusts: Says whether this connection ends because the engine refuses messages, such as messages to keep when
            its memory is full. If not, the others go on once a probe has come back.
    """

    def __init__(
        self,
        node: str,
        told: Told,
        wants: dict[str, None],
        publications: Publications,
        up: Callable[[], object],
        distrusts: Callable[[EngineSession, Exception], bool],
    ) -> None:
        self._distrusts = distrusts
        self.link: EngineLink | None = None
        self.is_up: bool = False
        self._node = node
        self._told = told
        self._wants = wants
        self._publications = publications
        self._up = up
        self._changed: dict[str, None] = dict.fromkeys(wants)
        self._changes = Doorbell()
        self._subscribed: set[str] = set()
        self._live: set[str] = set()
        self._held: dict[str, list[Envelope]] = {}
        self._seen = LastSeen()
        self._first: dict[str, Position | None] = {}
        self._probe_topic = f"wsframe: probe {node}"  # programs cannot name such a topic
        self._probes = count(1)
        self._probe: bytes | None = None
        self._awaited = b""
        self._echo = trio.Event()
        self._heard_once = trio.Event()
        self._refused = False
        """Whether the engine has refused a batch, and no probe has come back since then."""
        self._ending = Signal()
        self._acquisitions: ProtectedNursery | None = None

    async def run(self, link: EngineLink) -> None:
        """Use a link until it fails.

        Raises:
            Exception: Whatever the link raises, TooSlowError and NoEcho.
        """
        with trio.fail_after(PUBLISHED_WITHIN):
            await link.subscribe([self._probe_topic, EVERY_TOPIC])
        self.link = link
        self._publications.renew(self._node)
        try:
            async with ProtectedNursery() as nursery:
                nursery.start_soon(self._probe_again_and_again)
                nursery.start_soon(self._write, link)
                nursery.start_soon(self._follow_wants, link)
                nursery.start_soon(self._until_ended)
                self._acquisitions = nursery
        finally:
            self.link = self._acquisitions = None

    # Requests

    def end(self, error: BaseException) -> None:
        """End this connection, because the engine refuses a request."""
        self._ending.fire(error)

    async def _until_ended(self) -> None:
        error = await self._ending.wait()
        assert isinstance(error, BaseException)
        raise error

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        """Have keys granted to a node; those of an answer that comes after the caller has given up are given back.

        Raises:
            Exception: Whatever the link raises.
        """
        acquisition = Acquisition(node, keys, seconds)
        assert self.link is not None
        assert self._acquisitions is not None
        self._acquisitions.start_soon(acquisition.run, self.link)
        return await acquisition.answer()

    # Probes and messages out

    async def _probe_again_and_again(self) -> None:
        while True:
            self._awaited = self._probe = str(next(self._probes)).encode()
            self._echo = trio.Event()
            self._publications.doorbell.ring()
            for _ in range(LOOKS):
                with trio.move_on_after(LOOK):
                    await self._echo.wait()
                if self._echo.is_set():
                    break
            else:
                raise NoEcho(f"a message to ourselves did not come back within {LOOKS * LOOK:g} s")
            self._heard_once.set()
            self._refused = False
            self._publications.doorbell.ring()
            await trio.sleep(PROBE_EVERY)

    async def _write(self, link: EngineLink) -> None:
        publications = self._publications
        while True:
            batch = [*self._own_probe(), *(publications.take() if self.is_up and not self._refused else ())]
            if not batch:
                await publications.doorbell.wait()
                continue
            try:
                with trio.fail_after(PUBLISHED_WITHIN):
                    await link.publish(batch)
            except trio.TooSlowError:
                raise
            except LinkLost:
                publications.refuse(None)  # earlier messages can have gone to a server that nobody else uses
                raise
            except Exception as error:
                if self._distrusts(self, error):
                    raise
                self._refused = True
                publications.refused(self._node)
            else:
                publications.done()
                publications.mark(self._node)

    def _own_probe(self) -> Iterable[EnginePublication]:
        probe, self._probe = self._probe, None
        return () if probe is None else (EnginePublication(self._probe_topic, PLAIN, probe, None),)

    # Topics

    def change(self, topics: Iterable[str]) -> None:
        """Note topics that are wanted from now on, or no longer."""
        for topic in topics:
            self._changed[topic] = None
            if topic not in self._wants:
                self._live.discard(topic)
                self._seen.forget(topic)
        self._changes.ring()

    async def _follow_wants(self, link: EngineLink) -> None:
        while True:
            while self._changed:
                topics = list(islice(self._changed, CHUNK))
                for topic in topics:
                    del self._changed[topic]
                with trio.fail_after(SUBSCRIBED_WITHIN):
                    await self._leave(link, [topic for topic in topics if topic not in self._wants])
                    await self._join(link, [topic for topic in topics if topic in self._wants])
            if not self.is_up:
                await self._heard_once.wait()
                if not self._changed:
                    self._begin()
            else:
                await self._changes.wait()

    async def _leave(self, link: EngineLink, topics: list[str]) -> None:
        leaving = self._subscribed.intersection(topics)
        if leaving:
            await link.unsubscribe(leaving)
            self._subscribed -= leaving

    async def _join(self, link: EngineLink, topics: list[str]) -> None:
        """Subscribe to topics. Messages that come before each one's newest position is known wait."""
        if not topics:
            return
        self._held.update((topic, []) for topic in topics)
        joining = [topic for topic in topics if topic not in self._subscribed]
        if joining:
            await link.subscribe(joining)
            self._subscribed.update(joining)
        positions = await link.positions(topics)
        for topic, position in zip(topics, positions, strict=True):
            held = self._held.pop(topic, [])
            if topic not in self._wants:
                continue
            if not self.is_up:
                self._first[topic] = position
                continue
            self._report_wanted(topic, position)
            for one in held:
                if one.position is None or position is None or position < one.position:
                    self._deliver(topic, one)
            if len(held) >= MOST_HELD:
                self._told.gap(topic)

    def _begin(self) -> None:
        """Report that all topics are subscribed. From now on messages are delivered."""
        self._seen.clear()
        self._up()
        self.is_up = True
        for topic, position in self._first.items():
            if topic in self._wants:
                self._report_wanted(topic, position)
        self._first.clear()
        self._publications.doorbell.ring()

    def _report_wanted(self, topic: str, position: Position | None) -> None:
        self._live.add(topic)
        self._told.wanted(topic, position)

    # Messages in

    def take(self, topic: str, data: bytes) -> None:
        """Take a message of the link."""
        if topic == self._probe_topic:
            if data == PLAIN.encode() + self._awaited:
                self._echo.set()
            return
        if not self.is_up:
            return  # a gap of all topics is reported before any later one
        try:
            one = unwrap(data)
        except ValueError as error:
            logger.error("a message of another node is dropped: %s", error, kind=str(error))
            self._told.gap(None if topic == EVERY_TOPIC else topic)
            return
        held = self._held.get(topic)
        if topic == EVERY_TOPIC:
            if one.node != self._node:
                self._told.gap(None)
        elif held is None:
            self._deliver(topic, one)
        elif len(held) < MOST_HELD:
            held.append(one)

    def _deliver(self, topic: str, one: Envelope) -> None:
        if topic not in self._live:
            return
        if one.node == self._node:
            if one.position is None:
                return
        elif self._seen.hole_before(topic, one.node, one.number, mark=one.mark):
            self._told.gap(topic)
        if not one.mark:
            self._told.message(topic, one.payload, one.sender, one.position)
