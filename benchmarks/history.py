"""Measure history and presence: microseconds of CPU time for each message, resumption and member.

``python -m benchmarks.history [MESSAGES] [ROUNDS]`` runs two servers' topics over one hub in memory, without clients,
and prints the median round. With a relay or an engine its own time comes on top: ``benchmarks/relay.py`` measures the
relay. The last lines are of two servers' topics in one process over a Redis server, which is measured as well.
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
import trio.testing

from tests.backplane.redis_server import RedisServer, redis_server
from wsframe.backplane import History, MemoryBackplane, MemoryHub
from wsframe.backplane.presence import Member
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.resources.topics.publication import Publication
from wsframe.resources.topics.topic import Receiver
from wsframe.resources.topics.topics import Topics

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
    while len(await far.presences.members("t")) < messages:  # a heartbeat came between, and a whole list follows
        await trio.testing.wait_all_tasks_blocked(0.1)


async def list_all(near: Topics, far: Topics, messages: int, _: object) -> None:
    """Send and take one whole list of all members."""
    for at in range(messages):
        near.presences.enter("t", Member(f"member {at}", {"name": "x" * 20}))
    await trio.testing.wait_all_tasks_blocked()
    began = time.process_time()
    assert len(await far.presences.members("t")) == messages
    print(f"  a whole list of {messages} members: {1000 * (time.process_time() - began):.0f} ms for both sides")


async def remember(near: Topics, far: Topics, messages: int, _: object) -> None:
    """Enter members on one server and see how much memory both take."""
    far.presences.follow("t")
    await trio.testing.wait_all_tasks_blocked()
    tracemalloc.start()
    await enter(near, far, messages, _)
    print(f"  {messages} members: {tracemalloc.get_traced_memory()[0] / messages / 2:.0f} bytes each on each server")
    tracemalloc.stop()


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


def redis_seconds(redis: RedisServer) -> float:
    """Return the CPU time of a Redis server."""
    lines = redis.ask("INFO", "cpu").decode().splitlines()
    found = dict(line.split(":") for line in lines if ":" in line)
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


async def over_redis(redis: RedisServer, messages: int, history: History | None) -> tuple[float, float]:
    """Publish to two servers over Redis; return the microseconds of ours and of Redis for each message."""
    near, far = Topics(RedisBackplane(redis.url)), Topics(RedisBackplane(redis.url))
    counters = Counter(), Counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run)
        nursery.start_soon(far.run)
        near.listen("t", counters[0])
        far.listen("t", counters[1])
        await trio.testing.wait_all_tasks_blocked()
        while not all(counter.count for counter in counters):  # until both are connected
            near.publish_text("t", PAYLOAD, history=history)
            await trio.sleep(0.2)
        for counter in counters:
            counter.count = 0
        began, theirs = time.process_time(), redis_seconds(redis)
        for at in range(1, messages + 1):
            near.publish_text("t", PAYLOAD, history=history)
            while not at % BATCH and counters[1].count < at:
                await trio.testing.wait_all_tasks_blocked(0.001)
        spent = time.process_time() - began, redis_seconds(redis) - theirs
        nursery.cancel_scope.cancel()
    return 1e6 * spent[0] / messages, 1e6 * spent[1] / messages


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
    trio.run(measure, remember, MEMBERS, None)
    with TemporaryDirectory() as folder, redis_server(Path(folder)) as redis:
        for name, history in (("without", None), ("with", KEEP)):
            ours, theirs = min(trio.run(over_redis, redis, messages, history) for _ in range(rounds))
            print(f"{ours:9.2f} us  over Redis {name} history, published and received twice; {theirs:.2f} us of Redis")


if __name__ == "__main__":
    main(sys.argv[1:])
