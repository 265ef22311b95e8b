"""``python -m tests.owners [ROUNDS [SEED [LEASE]]]``: stop, kill and cut off servers that share 50 paths.

Each path counts in tasks, in hooks that wait for longer than a lease, and for posts; each act is a line with the
token in one file. A path has another owner within a lease and a second, counted from the last act of the old one, or
from the return of the engine. No act may follow one with a newer token, no client's messages change their order, and
clients that read nothing, most of them carried from one server to another, cost the others nothing.

As root each server has a network namespace of its own, and some rounds cut it off. Otherwise these rounds are left
out, which the record says.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import trio

from tests.backplane.redis_server import redis_server
from tests.owners.field import NODES, PATHS, PORT, Field
from tests.owners.machines import machines
from tests.owners.record import note

ROUNDS = 200
LEASE = 3.0
BACK = 3.0
"""Seconds after the return of a frozen engine within which paths have owners again."""
SHARED_EVERY = 4
"""Rounds after which the servers are asked to share the paths again."""


class Outcome(NamedTuple):
    """The end of a fault."""

    victim: str = ""
    """The server whose paths others take over; ``""`` for all."""
    since: float = 0.0
    """When the engine was back."""


async def stopped(field: Field) -> Outcome:
    """Stop a server for 1 to 10 seconds."""
    server = field.owner()
    server.send(signal.SIGSTOP)
    await trio.sleep(field.chance.uniform(1, 10))
    server.send(signal.SIGCONT)
    return Outcome(server.name)


async def killed(field: Field) -> Outcome:
    """Kill a server, and start another one."""
    server = field.owner()
    name = server.name
    server.kill()
    await trio.to_thread.run_sync(server.start)
    return Outcome(name)


async def unplugged(field: Field) -> Outcome:
    """Pull the cable of a server for 1 to 8 seconds."""
    server = field.owner()
    field.machines.unplug(server.number)
    await trio.sleep(field.chance.uniform(1, 8))
    field.machines.plug(server.number)
    return Outcome(server.name)


async def unheard(field: Field) -> Outcome:
    """Lose all packets to a server for 1 to 8 seconds."""
    server = field.owner()
    field.machines.lose(server.number)
    await trio.sleep(field.chance.uniform(1, 8))
    field.machines.find(server.number)
    return Outcome(server.name)


async def frozen(field: Field) -> Outcome:
    """Freeze the engine for 1 to 8 seconds."""
    field.redis.freeze()
    await trio.sleep(field.chance.uniform(1, 8))
    field.redis.thaw()
    return Outcome(since=time.monotonic())


async def emptied(field: Field) -> Outcome:
    """Kill the engine, and start it again with nothing in it."""
    field.redis.kill()
    await trio.sleep(field.chance.uniform(0, 3))
    await trio.to_thread.run_sync(field.redis.start)
    return Outcome(since=time.monotonic())


Fault = Callable[[Field], Awaitable[Outcome]]
FAULTS: dict[str, Fault] = {
    "server stopped for 1 to 10 s": stopped,
    "server killed, another one started": killed,
    "engine frozen for 1 to 8 s": frozen,
    "engine killed and started empty": emptied,
}
CUTS: dict[str, Fault] = {
    "cable of a server pulled for 1 to 8 s": unplugged,
    "packets to a server lost for 1 to 8 s": unheard,
}


async def end_at_signal(field: Field) -> None:
    """End after the round of this moment at Ctrl-C; the record has those that have been."""
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            field.ending = True


async def try_one(field: Field, fault: Fault) -> list[float]:
    """Cause a fault; return the seconds after which each path that lost its owner had another."""
    field.watch.changes.clear()
    outcome = await fault(field)
    await field.until_served()
    await field.check_calm()
    field.look()
    changes = [one for one in field.watch.changes if outcome.victim in ("", one.owner)]
    return [one.first - max(one.last, outcome.since) for one in changes]


async def run(field: Field, rounds: int) -> dict[str, Any]:
    """Cause the faults, and return the record."""
    faults = FAULTS if field.machines.apart else {**FAULTS, **CUTS}
    allowed = {name: BACK if fault is frozen else field.lease + 1 for name, fault in faults.items()}
    times: dict[str, list[list[float]]] = {name: [] for name in faults}
    late: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_at_signal, field)
        for path in PATHS:
            nursery.start_soon(field.visit, path)
        for server in field.servers:
            nursery.start_soon(field.stall, server)
        await field.until_served()
        for number in range(rounds):
            name = field.chance.choice(list(faults)) if number >= len(faults) else list(faults)[number]
            took = await try_one(field, faults[name])
            times[name].append(took)
            most, seen = max(took, default=0.0), len(field.watch.faults)
            if most > allowed[name]:
                late.append(f"round {number + 1}, {name}: {most:.1f} s, {allowed[name]:g} s are allowed")
            line = f"{number + 1}/{rounds} {name}: {len(took)} taken over, {most:.1f} s at most, faults: {seen}"
            print(line, flush=True)
            if field.ending:
                break
            if number % SHARED_EVERY == 0:
                await field.share()
        nursery.cancel_scope.cancel()
    return {
        "causes": {name: summary(one, allowed[name]) for name, one in times.items() if one},
        "nodes": NODES, "paths": len(PATHS), "lease": field.lease, "acts": field.watch.acts, "echoes": field.echoes,
        "owners": field.watch.owners, "steps": sum(field.watch.steps.values()), "faults": field.watch.faults[:20],
        "late": late, "no_network_faults": field.machines.apart,
    }  # fmt: skip


def summary(rounds: list[list[float]], allowed: float) -> dict[str, float]:
    """Return the numbers of one kind of fault."""
    taken = [seconds for one in rounds for seconds in one]
    found = {"rounds": len(rounds), "taken": len(taken), "allowed": allowed}
    return {**found, "median": round(median(taken), 2), "most": round(max(taken), 2)} if taken else found


def main(rounds: int, seed: int, lease: float) -> int:
    """Run so many rounds; return the exit status."""
    options = ("--bind", "0.0.0.0", "--port", str(PORT), "--protected-mode", "no")
    with TemporaryDirectory(prefix="owners-") as folder, machines(NODES) as made:
        if made.apart:
            print(f"no server is cut off: {made.apart}", flush=True)
        with redis_server(Path(folder), *(() if made.apart else options)) as redis:
            redis.grant_leases_at_once()
            field = Field(redis, made, Path(folder), random.Random(seed), lease)
            try:
                for server in field.servers:
                    server.start()
                record = trio.run(run, field, rounds)
            finally:
                for server in field.servers:
                    server.kill()
    note({"seed": seed, **record})
    for line in (*record["faults"], *record["late"]):
        print(line)
    return bool(record["faults"])


if __name__ == "__main__":
    given = sys.argv[1:]
    rounds, seed = (int(one) for one in [*given[:2], *map(str, (ROUNDS, 1)[len(given) :])])
    sys.exit(main(rounds, seed, float(given[2]) if len(given) > 2 else LEASE))
