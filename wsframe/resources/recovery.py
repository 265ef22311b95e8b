"""The history of topics: holes are filled, losses at the end are found, and clients go on where they were.

A topic whose messages are not whole is put into a line. A few tasks take it from there, ask the engine for all
messages after the last one, and the topic goes on; where the engine cannot give all of them, the topic's hooks
``resync`` are called first. As long as the engine cannot be reached the topic waits.
"""

from __future__ import annotations

from typing import NamedTuple

import trio

from wsframe.backplane.interface import Kept, Position
from wsframe.doorbell import Doorbell
from wsframe.resources.interest import Interest
from wsframe.resources.publication import Publication, opened
from wsframe.resources.topic import Receiver, Topic

__all__ = ["LOOK", "MOST_FILLED", "Histories", "Recovery"]

FILLERS = 8
"""Topics that are filled at a time."""
MOST_FILLED = 10_000
"""Messages that are asked for at a time; a larger hole is a resync."""
TRIES = 3
"""Answers without messages until they are lost: an engine that is just being reached again gives one too."""
RETRY = 1.0
"""Seconds until an engine that did not answer is asked again."""
PATIENCE = 5.0
"""Seconds for which a client that comes back waits for the engine."""
LOOK = 5.0
"""Seconds between two looks at the topics; one that is silent is compared with the engine at every other look."""


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

    def publication(self, topic: str, publication: Publication) -> None:
        if publication.position is not None:
            self.publications.append(publication)


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

    def need(self) -> None:
        """Begin to compare topics with the engine: some have a history."""
        self._needed.ring()

    async def run(self) -> None:
        """Fill holes and look for losses until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(FILLERS):
                nursery.start_soon(self._fill_topics)
            await self._needed.wait()
            while True:
                await trio.sleep(LOOK)
                await self._look()

    async def _fill_topics(self) -> None:
        async for topic in self._interest.holes:
            if self._interest.topics.get(topic.name) is topic:
                await self._fill(topic)
                topic.note()

    async def _fill(self, topic: Topic) -> None:
        """Fetch the messages that a topic lacks, or learn that they are lost."""
        tail = topic.tail
        assert tail.position is not None
        missing, newest = await self._missing(topic.name, tail.position)
        if missing is None:
            self.lost += 1
            tail.lost(newest)
        else:
            self.filled += bool(missing)
            tail.filled((one, one.position) for one in missing if one.position is not None)

    async def _missing(self, name: str, since: Position) -> tuple[list[Publication] | None, Position]:
        """Ask the engine until it answers: for all messages after a position, or None, and the newest position."""
        engine, tries = self._interest.engine(), 0
        while True:
            kept = await engine.since(name, since, MOST_FILLED)
            missing = None if kept is None else read(kept, since.epoch)
            if missing is not None:
                return missing, since._replace(offset=since.offset + len(missing))
            tries += 1
            newest = await engine.newest(name)
            if newest is None:  # it cannot be reached, and perhaps has all of them
                await trio.sleep(RETRY)
            elif tries == TRIES or kept is not None or newest.epoch != since.epoch or newest.offset < since.offset:
                return None, newest

    async def _look(self) -> None:
        """Compare the topics that are silent with the engine."""
        for topic in tuple(self._interest.topics.values()):
            tail = topic.tail
            if not tail.keeps or not topic.can_be_checked:
                continue
            topic.quiet = topic.quiet + 1 if topic.seen == tail.position else 0
            topic.seen = tail.position
            if topic.quiet % 2 and not await self._check(topic):
                return

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

    async def resume(self, name: str, since: Position | None = None) -> Recovery:
        """Return the messages after a position, up to the one that is next here.

        The caller subscribes or listens before it waits for anything: then nothing is missing between, and
        nothing comes twice. It is for topics with history: without, a hole would not be noticed.
        """
        self._interest.engine()
        topic = self._interest.use(name)
        topic.tail.keeps = True
        self.need()
        record = Record()
        topic.receivers[record] = None
        missed: list[Publication] | None = None
        try:
            with trio.move_on_after(PATIENCE) as patience:
                if since is None or since != topic.tail.position:
                    await self._settle(topic)
                if since is not None and can_be(since) and since != topic.tail.position:
                    missed, _ = await self._missing(name, since)
                    await self._settle(topic)
        finally:
            del topic.receivers[record]
            self._interest.desert(topic)
        here = topic.tail.position
        if since is not None and since == here:
            return Recovery(here, [])
        if patience.cancelled_caught:
            return Recovery(None, None)
        return Recovery(here, whole(since, here, missed, record.publications))

    async def _settle(self, topic: Topic) -> None:
        """Wait until a topic's position is known and nothing is asked."""
        while not topic.is_settled:
            if topic.can_be_checked:
                if not await self._check(topic):
                    await trio.sleep(RETRY)
            else:
                await topic.changed()


def can_be(position: Position) -> bool:
    """Return whether a position, perhaps of a client, can be one: an engine can fail at any other."""
    numbers: tuple[object, ...] = tuple(position)
    return all(isinstance(number, int) and 0 <= number < 1 << 63 for number in numbers)


def read(kept: list[Kept], epoch: int) -> list[Publication] | None:
    """Return kept messages as they were published; None if one of them cannot be read."""
    try:
        return [opened(one.payload, one.sender, Position(epoch, one.offset)) for one in kept]
    except ValueError:
        return None


def whole(
    since: Position | None, here: Position | None, missed: list[Publication] | None, later: list[Publication]
) -> list[Publication] | None:
    """Return all messages after one position up to another one, or None."""
    if since is None or here is None or missed is None:
        return None
    if since.epoch != here.epoch or since.offset > here.offset:
        return None
    found = {one.position.offset: one for one in (*missed, *later) if one.position and one.position.epoch == here.epoch}
    wanted = range(since.offset + 1, here.offset + 1)
    return [found[offset] for offset in wanted] if all(offset in found for offset in wanted) else None
