"""One fault of one engine: it is done to a stream of numbers, and the account is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from tests.backplane.faults import Stream, memory, stream
from tests.backplane.postgres_server import PostgresServer
from tests.backplane.redis_server import RedisServer
from tests.engine_faults.network import Network
from wsframe.backplane.boottime import boottime
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import Backplane
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane

__all__ = ["ENGINES", "MOST_GROWTH", "PATIENCE", "TOPICS", "Fault", "Outcome", "Place", "check", "made", "try_fault"]

PATIENCE = 300.0
DETECTED_WITHIN, RECOVERED_WITHIN, SUBSCRIBED_WITHIN = 2.0, 3.0, 5.0
MOST_GROWTH = 64 << 20
TOPICS = 20_000
ENGINES = ("glide", "coredis", "postgresql")


class Place(NamedTuple):
    """A server, and the ways to it."""

    server: RedisServer | PostgresServer
    engine: str
    node_url: str = ""
    """The URL for the node; the publisher has that of the server."""
    network: Network | None = None

    def make(self) -> SupervisedBackplane:
        """Make the backplane of a publisher."""
        return made(self.server.url, self.engine)

    def make_node(self) -> Backplane:
        """Make the backplane of a node."""
        return made(self.node_url or self.server.url, self.engine)


class Outcome(NamedTuple):
    """The results of one fault."""

    engine: str
    fault: str
    detected: float | None
    recovered: float | None
    holes: int
    missing: int
    growth: int
    failures: list[str]


Fault = Callable[[Place, Stream], Awaitable[tuple[float, float]]]
"""Breaks something; returns when it began and when all was well again."""


def made(url: str, engine: str) -> SupervisedBackplane:
    """Make a backplane by an engine's name."""
    if engine == "postgresql":
        return PostgresBackplane(url)
    return RedisBackplane(url, transport="glide" if engine == "glide" else "coredis")


async def try_fault(
    place: Place,
    name: str,
    fault: Fault,
    topics: int = 0,
    make_node: Callable[[], Backplane] | None = None,
    within: float = RECOVERED_WITHIN,
) -> Outcome:
    """Do one fault to a stream of numbers, and look at the account.

    Args:
        place: The server.
        name: The name of the fault.
        fault: Does it.
        topics: Topics that the node wants besides.
        make_node: Makes the backplane of the node instead.
        within: Seconds in which all is well again.
    """
    before = memory()
    with trio.fail_after(PATIENCE):
        async with stream(place.make, topics, make_node or place.make_node) as run:
            account = run.account
            await account.until(lambda: account.wanted_topics >= topics + 1)
            wanted = account.wanted_topics
            at, back = await fault(place, run)
            await account.until(lambda: account.up_at > at and account.gaps)
            await account.until(lambda: account.wanted_topics >= wanted + topics + 1)
            subscribed = boottime()
            await run.flows(200)
    failures = [f"a hole that was not told: {hole}" for hole in account.untold]
    failures += [f"{account.twice} messages came twice"] if account.twice else []
    detected, recovered = account.down_at - at, account.up_at - back
    check(failures, "detected", detected, DETECTED_WITHIN)
    check(failures, "recovered", recovered, SUBSCRIBED_WITHIN if topics else within)
    check(failures, "subscribed", subscribed - back, SUBSCRIBED_WITHIN)
    check(failures, "growth", memory() - before, MOST_GROWTH)
    check(failures, "longest call of publish", run.longest_call, 1.0)
    return Outcome(place.engine, name, detected, recovered, account.holes, account.missing, memory() - before, failures)


def check(failures: list[str], what: str, value: float, bound: float) -> None:
    """Note a value that is above its bound."""
    if value > bound:
        failures.append(f"{what}: {value:.3g}, at most {bound:.3g}")
