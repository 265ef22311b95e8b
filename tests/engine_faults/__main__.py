"""``python -m tests.engine_faults [ENGINE ...]``: break real engines for minutes, and write a record into the docs.

Each fault is one that a user has: a server killed, frozen for 5 s, connections ended by the server, a node that stands
still while 150 MB are published, 20 000 topics on a connection that is lost. A publisher numbers its messages, and a
node counts them; what the promises say of holes, times and memory is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import trio

from tests.backplane.faults import TOPIC, Stream, memory, stream
from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.engine_faults.record import note
from wsframe.backplane.boottime import boottime
from wsframe.backplane.postgres import PostgresBackplane
from wsframe.backplane.redis import RedisBackplane
from wsframe.backplane.supervised import SupervisedBackplane

PATIENCE = 300.0
DETECTED_WITHIN, RECOVERED_WITHIN, SUBSCRIBED_WITHIN = 2.0, 3.0, 5.0
MOST_GROWTH = 64 << 20
TOPICS = 20_000
FLOOD, FLOOD_SIZE = 150_000, 1_000
ENGINES = ("glide", "coredis", "postgresql")


class Place(NamedTuple):
    """A server, and the way to it."""

    server: RedisServer | PostgresServer
    engine: str

    def make(self) -> SupervisedBackplane:
        """Make a backplane."""
        return made(self.server.url, self.engine)


class Outcome(NamedTuple):
    """What one fault has shown."""

    engine: str
    fault: str
    detected: float | None
    recovered: float | None
    holes: int
    missing: int
    growth: int
    failures: list[str]


def made(url: str, engine: str) -> SupervisedBackplane:
    """Make a backplane by an engine's name."""
    if engine == "postgresql":
        return PostgresBackplane(url)
    return RedisBackplane(url, transport="glide" if engine == "glide" else "coredis")


async def killed(place: Place, run: Stream) -> tuple[float, float]:
    """Kill the server, and start it again 2 s later."""
    at = boottime()
    place.server.kill()
    await trio.sleep(2)
    place.server.start()
    return at, boottime()


async def frozen(place: Place, run: Stream) -> tuple[float, float]:
    """Stop the server's processes for 5 s."""
    at = boottime()
    place.server.freeze()
    await trio.sleep(5)
    place.server.thaw()
    return at, boottime()


async def disconnected(place: Place, run: Stream) -> tuple[float, float]:
    """Have the server end all connections."""
    at = boottime()
    place.server.kill_connections()
    return at, at


Fault = Callable[[Place, Stream], Awaitable[tuple[float, float]]]
FAULTS: dict[str, Fault] = {
    "server killed, started 2 s later": killed,
    "server frozen for 5 s": frozen,
    "connections ended by the server": disconnected,
}


async def try_fault(place: Place, name: str, fault: Fault, topics: int = 0) -> Outcome:
    """Do one fault to a stream of numbers, and look at the account."""
    before = memory()
    with trio.fail_after(PATIENCE):
        async with stream(place.make, topics) as run:
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
    check(failures, "recovered", recovered, SUBSCRIBED_WITHIN if topics else RECOVERED_WITHIN)
    check(failures, "subscribed", subscribed - back, SUBSCRIBED_WITHIN)
    check(failures, "growth", memory() - before, MOST_GROWTH)
    check(failures, "longest call of publish", run.longest_call, 1.0)
    return Outcome(place.engine, name, detected, recovered, account.holes, account.missing, memory() - before, failures)


def check(failures: list[str], what: str, value: float, bound: float) -> None:
    if value > bound:
        failures.append(f"{what}: {value:.3g}, at most {bound:.3g}")


async def flood(place: Place) -> Outcome:
    """Publish 150 000 messages of 1 KB while a node stands still, as a process of its own."""
    command = [sys.executable, "-m", "tests.engine_faults.node", place.server.url, place.engine]
    node = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        with trio.fail_after(PATIENCE):
            before, after = await flooded(place, node)
    finally:
        node.kill()
        with trio.CancelScope(shield=True):
            await node.wait()
    failures = [f"a hole that was not told: {hole}" for hole in after["untold"]]
    growth = after["peak"] - before["peak"]
    check(failures, "growth", growth, MOST_GROWTH)
    return Outcome(
        place.engine, "150 000 x 1 KB at a stopped node", None, None, after["holes"], after["missing"], growth, failures
    )


async def flooded(place: Place, node: trio.Process) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a node's account before the flood, and once it has received what comes behind it."""
    before = after = await asked(node)
    async with trio.open_nursery() as nursery:
        publisher = place.make()
        await nursery.start(publisher.run, "flood", Silent())
        os.kill(node.pid, signal.SIGSTOP)
        await publish(publisher, range(FLOOD))
        os.kill(node.pid, signal.SIGCONT)
        for number in count(FLOOD, 10):
            await publish(publisher, range(number, number + 10))
            after = await asked(node)
            if after["last"] >= number - 50:
                break
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    return before, after


class Silent:
    """A receiver of reports that nobody reads."""

    def message(self, *arguments: object) -> None: ...
    def wanted(self, *arguments: object) -> None: ...
    def gap(self, topic: str | None) -> None: ...
    def reach(self, up: bool) -> None: ...


async def publish(publisher: SupervisedBackplane, numbers: range) -> None:
    """Publish numbers, as fast as the engine takes them."""
    for number in numbers:
        if not publisher.publish(TOPIC, b"%d" % number + b" " * FLOOD_SIZE):
            raise RuntimeError("the flood is refused")
        if not number % 200:
            await publisher.sent()
    await publisher.sent()


async def asked(node: trio.Process) -> dict[str, Any]:
    """Ask a node for its account."""
    assert node.stdin is not None
    assert node.stdout is not None
    await node.stdin.send_all(b"\n")
    line = b""
    while not line.endswith(b"\n"):
        line += await node.stdout.receive_some(65536)
    answer: dict[str, Any] = json.loads(line)
    return answer


async def try_engine(place: Place) -> list[Outcome]:
    """Do all faults to one engine."""
    done = []
    for name, fault in FAULTS.items():
        done.append(await try_fault(place, name, fault))
        print(done[-1], flush=True)
    done.append(await try_fault(place, f"connections ended, {TOPICS} topics", disconnected, TOPICS))
    print(done[-1], flush=True)
    done.append(await flood(place))
    print(done[-1], flush=True)
    return done


def try_named(engine: str) -> list[Outcome]:
    """Start a server, and do all faults to it."""
    if engine == "postgresql":
        with postgres_server() as postgres:
            return trio.run(try_engine, Place(postgres, engine))
    with TemporaryDirectory(prefix="wsframe-redis-") as folder, redis_server(Path(folder)) as redis:
        return trio.run(try_engine, Place(redis, engine))


def main() -> None:
    """Try the engines that are named, or all; keep the record of those for which all was well."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine_faults", description=__doc__)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"{', '.join(ENGINES)}; default: all")
    engines = parser.parse_args().engines or ENGINES
    failures = []
    for engine in engines:
        outcomes = try_named(engine)
        failed = [f"{engine}, {one.fault}: {failure}" for one in outcomes for failure in one.failures]
        if not failed:
            note(engine, [one._asdict() for one in outcomes])
        failures += failed
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
