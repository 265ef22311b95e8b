"""``python -m tests.engine_faults [ENGINE ...]``: break real engines for minutes, and write a record into the docs.

Each fault is one that a user has: a server killed, frozen for 5 s, connections ended by the server, a node that stands
still while 150 MB are published, 20 000 topics on a connection that is lost, a relay killed, a cable pulled. A
publisher numbers its messages, and a node counts them; the promises about holes, times and memory are checked.
Faults of the network are done in namespaces, which only root can make.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.backplane.faults import TOPIC, Stream
from tests.backplane.postgres_server import postgres_server
from tests.backplane.redis_server import redis_server
from tests.engine_faults.network import impossible, network
from tests.engine_faults.record import note
from tests.engine_faults.relayed import kill_relay, stay_local
from tests.engine_faults.trying import ENGINES, MOST_GROWTH, PATIENCE, TOPICS, Fault, Outcome, Place, check, try_fault
from wsframe.backplane.boottime import boottime
from wsframe.backplane.engines.supervised import SupervisedBackplane

FLOOD, FLOOD_SIZE = 150_000, 1_000


async def killed(place: Place, run: Stream) -> tuple[float, float]:
    """Kill the server, and start it again 2 s later."""
    at = boottime()
    place.server.kill()
    await trio.sleep(2)
    place.server.start()
    return at, boottime()


async def emptied(place: Place, run: Stream) -> tuple[float, float]:
    """Kill the server, and start one without data 2 s later."""
    at = boottime()
    place.server.kill()
    await trio.to_thread.run_sync(place.server.empty)
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


FAULTS: dict[str, Fault] = {
    "server killed, started 2 s later": killed,
    "server killed, started empty 2 s later": emptied,
    "server frozen for 5 s": frozen,
    "connections ended by the server": disconnected,
}


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
    """Return a node's account before the flood, and once it has received the messages after it."""
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
    for more in (flood, kill_relay, stay_local):
        done.append(await more(place))
        print(done[-1], flush=True)
    return done


def cut_off(engine: str) -> list[Outcome]:
    """Do all faults of the network to one engine, in namespaces."""
    with network() as made_network:
        command = [sys.executable, "-m", "tests.engine_faults.cut_off", engine, *made_network]
        done = subprocess.run([*made_network.in_node, *command], stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", flush=True)
    return [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]


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
    failures, obstacle = [], impossible()
    for engine in engines:
        outcomes = try_named(engine) + ([] if obstacle else cut_off(engine))
        failed = [f"{engine}, {one.fault}: {failure}" for one in outcomes for failure in one.failures]
        if not failed and not obstacle:
            note(engine, [one._asdict() for one in outcomes])
        failures += failed
    if obstacle:
        print(f"LEFT OUT, AND NO RECORD WRITTEN: all faults of the network, because {obstacle}", file=sys.stderr)
    if failures or (obstacle and os.environ.get("WSFRAME_REQUIRE_ALL") == "1"):
        sys.exit("\n".join(failures) or 1)


if __name__ == "__main__":
    main()
