"""The history of topics: holes are filled, losses at the end are found, and clients go on where they were.

A topic whose messages are not whole is put into a line. A few tasks take it from there, ask the engine for all
messages after the last one, and the topic goes on; where the engine cannot give all of them, the topic's hooks
``resync`` are called first. As long as the engine cannot be reached the topic waits.

Clients that come back do so at once, all of a server that was killed, and have missed about the same. Clients that come
while the engine is asked for one of them, and have missed no more, share its answer; the next is for all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import trio

from wsframe.backplane.interface import Kept, Position
from wsframe.doorbell import Doorbell
from wsframe.resources.topics.interest import Interest
from wsframe.resources.topics.positions import can_be, is_behind, whole, within
from wsframe.resources.topics.publication import Publication, unwrap_publication
from wsframe.resources.topics.topic import Receiver, Topic
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["LOOK", "MOST_FILLED", "Histories", "Recovery", "Resumption"]

FILLERS = 8
"""Topics that are filled at a time."""
MOST_FILLED = 10_000
"""Messages that are asked for at a time; a larger hole is a resync."""
TRIES = 3
"""Answers without messages until they are lost: an engine that is just being reached again gives one too."""
SHARED = 3
"""Answers for earlier positions that a client tries: those can be too old, and its own is not."""
RETRY = 1.0
"""Seconds until an engine that did not answer is asked again."""
PATIENCE = 5.0
"""Seconds for which a client that comes back waits for the engine."""
LOOK = 5.0
"""Seconds between two looks at the topics; one that is silent is compared with the engine at every other look."""
BEHIND = 0.01
"""Seconds between two looks whether messages have come that another process had already."""


class Recovery(NamedTuple):
    """The place from which a client gets a topic's messages, and those it has missed before."""

    position: Position | None
    """The next message is the one after it. None if the engine could not be reached for 5 s: try again."""
    publications: list[Publication] | None
    """All messages after the client's position; None if they are not all kept, or it had no position."""


class Record(Receiver):
    """The kept messages that come while a client's are asked for."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.whole: bool = True
        """Whether none has been lost."""

    def resync(self, topic: str, position: Position) -> None:
        self.whole = False

    def publication(self, topic: str, publication: Publication) -> None:
        if publication.position is not None:
            self.publications.append(publication)


class Inquiry:
    """A question to the engine for all messages of a topic after a position, and the messages that come since."""

    def __init__(self, since: Position, limit: int, *, exact: bool) -> None:
        self.since: Position = since
        self.limit = limit
        self.can_grow: bool = not exact
        """Whether it can still be made one for an earlier position: it has not been sent."""
        self.record: Record = Record()
        self.users = 0  # clients that have an answer from it or wait for one; the record goes on for as long
        self.asked: trio.Event | None = None  # set when the task that asks has ended, with an answer or not
        self.answered: bool = False
        self.missed: list[Publication] | None = None
        self.newest: Position | None = None
        """Where the engine was then."""

    def covers(self, since: Position, limit: int) -> bool:
        """Return whether its answer can be that for another position: it has all messages from there on, or none."""
        if self.answered or (self.since.epoch, self.limit) != (since.epoch, limit):
            return False
        if self.can_grow and since.offset < self.since.offset:
            self.since = since
        return self.since.offset <= since.offset

    def decides(self, since: Position) -> bool:
        """Return whether its answer is that for a position."""
        if since == self.since:
            return True
        return self.missed is not None and since.offset <= self.since.offset + len(self.missed)


class Inquiries:
    """The questions about one topic, of which one is with the engine at a time: answers can be long."""

    def __init__(self) -> None:
        self.list: list[Inquiry] = []
        self.turn: trio.Lock = trio.Lock()

    def chosen(self, since: Position, limit: int, *, shared: bool) -> Inquiry:
        """Return one for a position; ``shared``: it can be, and become, one for an earlier position."""
        for one in self.list:
            if (shared or one.since == since) and one.covers(since, limit):
                one.can_grow &= shared
                return one
        return Inquiry(since, limit, exact=not shared)


class Histories:
    """The history of the topics of one server.

    Args:
        interest: Its topics.
    """

    def __init__(self, interest: Interest) -> None:
        self._interest = interest
        self._needed = Doorbell()
        self.filled: int = 0
        """Holes that were filled so far."""
        self.lost: int = 0
        """Holes that could not be filled."""
        self.recovered: int = 0
        """Clients that got all that they had missed."""
        self.refused: int = 0
        """Clients that had missed messages which are not all kept, or too many."""
        self._inquiries: dict[str, Inquiries] = {}
        """The questions of clients, by topic."""

    def need(self) -> None:
        """Begin to compare topics with the engine: some have a history."""
        self._needed.ring()

    async def run(self) -> None:
        """Fill holes and look for losses until cancelled."""
        async with ProtectedNursery() as nursery:
            for _ in range(FILLERS):
                nursery.start_soon(self._fill_topics, again=True)
            await self._needed.wait()
            nursery.start_soon(self._look, again=True)

    async def _fill_topics(self) -> None:
        async for topic in self._interest.holes:
            if self._interest.topics.get(topic.name) is topic:
                await self._fill(topic)
                topic.note()

    async def _fill(self, topic: Topic) -> None:
        """Fetch the messages that a topic lacks, or learn that they are lost."""
        tail = topic.tail
        assert tail.position is not None
        missing, newest = await self._missing(topic.name, tail.position, MOST_FILLED)
        if missing is None:
            self.lost += 1
            tail.lost(newest)
        else:
            self.filled += bool(missing)
            tail.filled((one, one.position) for one in missing if one.position is not None)

    async def _missing(self, name: str, since: Position, limit: int) -> tuple[list[Publication] | None, Position]:
        """Ask the engine until it answers: for all messages after a position, or None, and the newest position."""
        engine, tries = self._interest.engine(), 0
        while True:
            kept = await engine.since(name, since, limit)
            missing = None if kept is None else read(kept, since.epoch)
            if missing is not None:
                return missing, since._replace(offset=since.offset + len(missing))
            tries += 1
            newest = await engine.newest(name)
            if newest is None:  # it cannot be reached, and perhaps has all of them
                await trio.sleep(RETRY)
            elif tries == TRIES or kept is not None or not within(since, newest, limit):
                return None, newest

    async def _look(self) -> None:
        """Compare the topics that are silent with the engine, again and again."""
        while True:
            await trio.sleep(LOOK)
            for topic in tuple(self._interest.topics.values()):
                tail = topic.tail
                if not tail.keeps or not topic.can_be_checked:
                    continue
                topic.quiet = topic.quiet + 1 if topic.seen == tail.position else 0
                topic.seen = tail.position
                if topic.quiet % 2 and not await self._check(topic):
                    break

    async def _check(self, topic: Topic) -> bool:
        """Compare a topic with the engine; return False if it cannot be reached."""
        asked = topic.tail.position
        newest = await self._interest.engine().newest(topic.name)
        if newest is not None:
            topic.tail.check(asked, newest)
            topic.note()
        return newest is not None

    # Questions of the program

    async def newest(self, name: str) -> Position | None:
        """Return the position of the newest message that is kept."""
        return await self._interest.engine().newest(name)

    async def since(self, name: str, position: Position, limit: int = MOST_FILLED) -> list[Publication] | None:
        """Return all messages that are kept after a position; None if some of them are not."""
        if not can_be(position):
            return None
        kept = await self._interest.engine().since(name, position, limit)
        return None if kept is None else read(kept, position.epoch)

    async def kept(self, name: str) -> tuple[Position, list[Publication]] | None:
        """Return the newest position and all messages that are kept; None if the engine cannot be reached."""
        answer = await self._interest.engine().kept(name)
        return None if answer is None else (answer[0], read(answer[1], answer[0].epoch) or [])

    async def resume(self, name: str, since: Position | None = None, limit: int = MOST_FILLED) -> Recovery:
        """Return the messages after a position, up to the one that is next here; None for more than ``limit``.

        The caller subscribes or listens before it waits for anything: then nothing is missing between, and
        nothing comes twice. It is for topics with history: without, a hole would not be noticed.
        """
        self._interest.engine()
        topic = self._interest.use(name)
        topic.tail.keeps = True
        self.need()
        using = Receiver()
        topic.receivers[using] = None
        try:
            recovery = await self._resumed(topic, since, limit)
        finally:
            del topic.receivers[using]
            self._interest.desert(topic)
        if since is not None and recovery.position is not None:
            self.recovered += recovery.publications is not None
            self.refused += recovery.publications is None
        return recovery

    async def _resumed(self, topic: Topic, since: Position | None, limit: int) -> Recovery:
        found: list[Publication] | None = None
        with trio.move_on_after(PATIENCE) as patience:
            if since is None or since != topic.tail.position:
                await self._settle(topic)
            if since is not None and can_be(since) and since != topic.tail.position:
                found = await self._found(topic, since, limit)
        here = topic.tail.position
        if since is not None and since == here:
            return Recovery(here, [])
        if patience.cancelled_caught:
            return Recovery(None, None)
        return Recovery(here, found)

    async def _found(self, topic: Topic, since: Position, limit: int) -> list[Publication] | None:
        """Return all messages after a position, up to where the topic is then; None if they are not all kept.

        A resync in the meantime, as where the engine has begun again, passes over messages that it has: it is asked
        again for them.
        """
        for _ in range(TRIES):
            with ExitStack() as stack:
                inquiry = await self._answered(topic, since, limit, stack)
                await self._settle(topic)
                if inquiry.missed is None:
                    await self._follow(topic, inquiry.newest)
                    return None
                await self._reach(topic, since)
                here = topic.tail.position
                found = whole(since, here, [*inquiry.missed, *inquiry.record.publications], limit)
                if found is not None or here is None or not within(since, here, limit):
                    return found
        return None

    async def _answered(self, topic: Topic, since: Position, limit: int, stack: ExitStack) -> Inquiry:
        """Return the answer of the engine for a position, which others can have asked for."""
        tries = 0
        while True:
            inquiry = stack.enter_context(self._use(topic, since, limit, shared=tries < SHARED))
            turn = self._inquiries[topic.name].turn
            while not inquiry.answered:
                if inquiry.asked is not None:
                    await inquiry.asked.wait()
                    continue
                asked = inquiry.asked = trio.Event()
                try:
                    async with turn:
                        inquiry.can_grow = False
                        inquiry.missed, inquiry.newest = await self._missing(topic.name, inquiry.since, limit)
                    inquiry.answered = True
                finally:  # the client can have left: another one asks then
                    inquiry.asked = None
                    asked.set()
            if inquiry.decides(since):
                return inquiry
            tries += 1

    @contextmanager
    def _use(self, topic: Topic, since: Position, limit: int, *, shared: bool) -> Iterator[Inquiry]:
        """Choose an inquiry and have it record messages until nobody uses it any more."""
        inquiries = self._inquiries.setdefault(topic.name, Inquiries())
        inquiry = inquiries.chosen(since, limit, shared=shared)
        inquiry.users += 1
        if inquiry.users == 1:
            topic.receivers[inquiry.record] = None
            inquiries.list.append(inquiry)
        try:
            yield inquiry
        finally:
            inquiry.users -= 1
            if not inquiry.users:
                del topic.receivers[inquiry.record]
                inquiries.list.remove(inquiry)
            if not inquiries.list:
                self._inquiries.pop(topic.name, None)

    async def _reach(self, topic: Topic, since: Position) -> None:
        """Have a topic be where the engine is, if a client was further on another server."""
        for _ in range(TRIES):
            here = topic.tail.position
            if here is None or here.epoch != since.epoch or here.offset >= since.offset:
                return
            if not await self._check(topic):
                await trio.sleep(RETRY)
            await self._settle(topic)

    async def _follow(self, topic: Topic, newest: Position | None) -> None:
        """Have a topic learn that the engine has begun again, if it does not know that yet."""
        here = topic.tail.position
        if here is not None and newest is not None and here.epoch != newest.epoch and await self._check(topic):
            await self._settle(topic)

    async def _settle(self, topic: Topic) -> None:
        """Wait until a topic's position is known and nothing is asked."""
        while not topic.is_settled:
            if topic.can_be_checked:
                if not await self._check(topic):
                    await trio.sleep(RETRY)
            else:
                await topic.changed()


class Resumption:
    """The messages of a topic after a position, for clients that are subscribed in one step later on.

    Args:
        interest: The topics of the server.
        histories: Their history.
        name: The topic.
        since: The position.
    """

    def __init__(self, interest: Interest, histories: Histories, name: str, since: Position) -> None:
        self._interest = interest
        self._histories = histories
        self._name = name
        self._since = since
        self._record = Record()
        self._recovery = Recovery(None, None)
        self._topic: Topic | None = None

    async def begin(self) -> None:
        """Ask for the messages up to now; those that come later are noted until :meth:`end`."""
        topic = self._topic = self._interest.use(self._name)
        topic.receivers[self._record] = None
        await self._histories.resume(self._name)
        while is_behind(topic.tail.position, self._since):  # noqa: ASYNC110
            await trio.sleep(BEHIND)
        self._recovery = await self._histories.resume(self._name, self._since)

    def publications(self) -> list[Publication] | None:
        """Return all messages after the position until now; None if some of them are lost, or nobody knows."""
        here, missed = self._recovery
        if here is None or missed is None or not self._record.whole:
            return None
        return [*missed, *(one for one in self._record.publications if one.position and one.position > here)]

    def end(self) -> None:
        """Note no more messages."""
        if self._topic is not None:
            del self._topic.receivers[self._record]
            self._interest.desert(self._topic)
            self._topic = None


def read(kept: list[Kept], epoch: int) -> list[Publication] | None:
    """Return kept messages as they were published; None if one of them cannot be read."""
    try:
        return [unwrap_publication(one.payload, one.sender, Position(epoch, one.offset)) for one in kept]
    except ValueError:
        return None
