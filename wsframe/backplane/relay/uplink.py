"""A relay that links its machine to an engine: the workers of the machine are the members of a hub.

One connection carries the topics of all workers. A message of one of them goes to the others at once and to the
engine; a message with history goes to the engine alone, which gives it its place, and comes back to all. Leases are
held by the workers, under their own names: a relay that is started again goes on for the same holders.

Only callers that ask the engine wait for it. Messages for which it has no room, or which come while it is out of
reach, are a gap at the other machines. While it is out of reach, the workers go on among themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.hub_members import HubMember, HubMembers
from wsframe.backplane.interface import History, Kept, Lease, Position
from wsframe.backplane.queue import Message, Queue, Run, Wanted
from wsframe.backplane.relay.frames import FrameReader
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for

__all__ = ["Uplink"]

logger: Log = log_for(__name__)


class Uplink:
    """The members on one machine, and their link to an engine; it implements ``Told`` for that.

    Args:
        engine: The link, which runs elsewhere and reports here.
    """

    def __init__(self, engine: SupervisedBackplane) -> None:
        self._engine = engine
        self._members = HubMembers()
        self._wanted: dict[str, Position | None] = {}
        """The topics of which every message comes from the engine, and the position of the last one kept."""
        self._reached = False
        self._crowded = False
        self._crowding = Doorbell()
        self.up: bool = False
        """Whether the engine can be reached."""

    # Members

    def attach(self, node: str, queue: Queue) -> HubMember:
        """Add a member; one of the same name, which the node has given up, is detached."""
        former = self._members.named(node)
        if former is not None:
            self.detach(former)
        if self._crowded:
            queue.reach(self.up, crowded=True)
        return self._members.add(node, queue)

    def detach(self, member: HubMember) -> None:
        """Remove a member. Its leases run until they end: nobody knows whether it still acts."""
        self.unwant(member, tuple(member.topics))
        self._members.remove(member)

    def want(self, member: HubMember, topics: Collection[str]) -> None:
        """Send a member the messages of topics: of this machine from now on, of others once it is told so."""
        new = []
        for topic in topics:
            if self._members.join(member, topic):
                new.append(topic)
            elif topic in self._wanted:
                member.queue.put(topic, Wanted(topic, self._wanted[topic]), len(topic))
        self._engine.want(new)

    def unwant(self, member: HubMember, topics: Collection[str]) -> None:
        """Stop sending a member the messages of topics."""
        deserted = self._members.leave(member, topics)
        for topic in deserted:
            self._wanted.pop(topic, None)
        self._engine.unwant(deserted)

    def publish(self, member: HubMember, topic: str, payload: bytes, keep: History | None) -> None:
        """Send a message to the engine; one that is kept comes back from there."""
        queued = self._engine.publish(topic, payload, keep=keep, sender=member.node)
        if not queued and keep is not None:
            logger.warning("a message of %s is lost: the backplane cannot take it", repr(topic), kind="lost")
        if not self._crowded and self._engine.is_crowded:
            self._crowded = True
            self._crowding.ring()
            tell(self._members, self.up, crowded=True)

    def pass_on(self, member: HubMember, run: Run) -> None:
        """Send messages that are not kept to this machine's members as they were read, and each to the engine."""
        self._members.send(run, member)
        for one in FrameReader().feed(run.frames):
            self.publish(member, run.topic, one.payload, None)

    async def watch_room(self) -> None:
        """Tell the members when there is room again, for ever: in the meantime they refuse messages with history."""
        while True:
            await self._crowding.wait()
            await self._engine.sent()
            self._crowded = False
            tell(self._members, self.up, crowded=False)

    def report_gap(self, topic: str | None) -> None:
        """Report that messages of a member are missing, on this machine and on others; None stands for all topics."""
        self._members.report_gap(topic)
        self._engine.doubt(topic)

    async def sent(self) -> None:
        """Wait until the engine has all messages that were queued."""
        await self._engine.sent()

    # History and leases

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        return await self._engine.since(topic, position, limit)

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest kept message, or None."""
        newest = await self._engine.newest(topic)
        note(self._wanted, topic, newest)
        return newest

    async def kept(self, topic: str) -> tuple[Position, list[Kept]] | None:
        """Return the position of the newest kept message and all kept ones, or None."""
        answer = await self._engine.kept(topic)
        note(self._wanted, topic, None if answer is None else answer[0])
        return answer

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        """Acquire keys for a member: return the token of each, or the node that has it."""
        answers = await self._engine.acquire(keys, seconds, holder=node)
        return [one.token if isinstance(one, Lease) else one for one in answers]

    async def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Renew the leases of keys with these tokens; return whether each is still held."""
        return [one is not None for one in await self._engine.renew(leases_of(keys), seconds)]

    async def release(self, keys: Sequence[tuple[str, int]]) -> None:
        """Give back keys that are held with these tokens."""
        await self._engine.release(leases_of(keys))

    # Reports of the engine

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        """Pass on a message of another machine, or one that is kept."""
        if position is not None and topic in self._wanted:
            self._wanted[topic] = position
        self._members.send(Message(topic, payload, sender, position))

    def wanted(self, topic: str, position: Position | None) -> None:
        """Tell all that want a topic that every later message comes."""
        wanting = self._members.wanting(topic)
        if wanting:
            self._wanted[topic] = position
        for member in wanting:
            member.queue.put(topic, Wanted(topic, position), len(topic))

    def gap(self, topic: str | None) -> None:
        """Report that messages of other machines are missing."""
        self._members.report_gap(topic)

    def reach(self, up: bool) -> None:
        """Tell all whether the engine can be reached."""
        self.up = up
        if not up:
            self._wanted.clear()
        elif not self._reached:
            self._reached = True
            self._members.report_gap(None)  # of those that were here before it was reached
        tell(self._members, up, crowded=self._crowded)


def tell(members: HubMembers, up: bool, *, crowded: bool) -> None:
    """Tell members whether the engine can be reached, and keeps up."""
    for member in members:
        member.queue.reach(up, crowded=crowded)


def note(wanted: dict[str, Position | None], topic: str, newest: Position | None) -> None:
    """Note the position of a topic that had none."""
    if topic in wanted and wanted[topic] is None:
        wanted[topic] = newest


def leases_of(keys: Sequence[tuple[str, int]]) -> list[Lease]:
    """Return leases as the engine knows them; only the holder knows their end."""
    return [Lease(key, token, 0.0) for key, token in keys]
