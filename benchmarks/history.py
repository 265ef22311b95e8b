"""Measure history and presence: microseconds of CPU time for each message, resumption and member.

``python benchmarks/history.py [MESSAGES] [ROUNDS]`` runs two servers' topics over one hub in memory, without clients,
and prints the median round. With a relay or an engine its own time comes on top: ``benchmarks/relay.py`` measures the
relay.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import trio
import trio.testing

from wsframe.backplane import History, MemoryBackplane, MemoryHub
from wsframe.backplane.presence import Member
from wsframe.resources.publication import Publication
from wsframe.resources.topic import Receiver
from wsframe.resources.topics import Topics

PAYLOAD = "x" * 256
BATCH = 500
"""Messages that are published before the other side has its turn."""
KEEP = History(messages=1_000, seconds=3_600)
MEMBERS = 10_000


class Counter(Receiver):
    """Counts messages."""

    def __init__(self) -> None:
        self.count = 0

    def publication(self, topic: str, publication: Publication) -> None:
        self.count += 1


async def publish(near: Topics, far: Topics, messages: int, history: History | None) -> None:
    """Publish to a receiver on each of two servers."""
    counters = Counter(), Counter()
    near.listen("t", counters[0])
    far.listen("t", counters[1])
    await trio.testing.wait_all_tasks_blocked()
    for at in range(messages):
        near.publish_text("t", PAYLOAD, history=history)
        if not at % BATCH:
            await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    assert [counter.count for counter in counters] == [messages] * 2, [counter.count for counter in counters]


async def resume(near: Topics, far: Topics, messages: int, missed: int) -> None:
    """Resume as often, with so many messages missed."""
    near.listen("t", Counter())
    for _ in range(missed + 1):
        near.publish_text("t", PAYLOAD, history=KEEP)
    await trio.testing.wait_all_tasks_blocked()
    newest = (await near.histories.resume("t")).position
    assert newest is not None
    since = newest._replace(offset=newest.offset - missed)
    for _ in range(messages):
        assert len((await near.histories.resume("t", since)).publications or ()) == missed


async def enter(near: Topics, far: Topics, messages: int, _: object) -> None:
    """Enter members on one server, as another one sees them."""
    far.presences.follow("t")
    await trio.testing.wait_all_tasks_blocked()
    for at in range(messages):
        near.presences.enter("t", Member(f"member {at}", {"name": "x" * 20}))
        if not at % BATCH:
            await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    assert len(await far.presences.members("t")) == messages


async def list_all(near: Topics, far: Topics, messages: int, _: object) -> None:
    """Send and take one whole list of all members."""
    for at in range(messages):
        near.presences.enter("t", Member(f"member {at}", {"name": "x" * 20}))
    await trio.testing.wait_all_tasks_blocked()
    began = time.process_time()
    assert len(await far.presences.members("t")) == messages
    print(f"  a whole list of {messages} members: {1000 * (time.process_time() - began):.0f} ms for both sides")


Work = Callable[[Topics, Topics, int, object], Awaitable[None]]


async def measure(work: Work, messages: int, argument: object) -> float:
    """Return the microseconds of a round for each message."""
    hub = MemoryHub()
    near, far = Topics(MemoryBackplane(hub)), Topics(MemoryBackplane(hub))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run)
        nursery.start_soon(far.run)
        await trio.testing.wait_all_tasks_blocked()
        began = time.process_time()
        await work(near, far, messages, argument)
        spent = time.process_time() - began
        nursery.cancel_scope.cancel()
    return 1e6 * spent / messages


def main(arguments: list[str]) -> None:
    """Print the figures."""
    messages, rounds = (*map(int, arguments), *(20_000, 5)[len(arguments) :])
    table: list[tuple[str, Work, int, object]] = [
        ("published, and received on two servers", publish, messages, None),  # type: ignore[list-item]
        ("the same with history", publish, messages, KEEP),  # type: ignore[list-item]
        ("a resumption with nothing missed", resume, messages, 0),  # type: ignore[list-item]
        ("a resumption with 100 messages missed", resume, messages // 20, 100),  # type: ignore[list-item]
        ("a member that joins, on two servers", enter, messages // 2, None),
    ]
    for name, work, count, argument in table:
        spent = statistics.median(trio.run(measure, work, count, argument) for _ in range(rounds))
        print(f"{spent:9.2f} us  {name}")
    trio.run(measure, list_all, MEMBERS, None)


if __name__ == "__main__":
    main(sys.argv[1:])
