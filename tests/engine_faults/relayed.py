"""Faults between the workers of one machine, whose relay has its one link to the engine."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from tests.backplane.faults import Stream, memory, stream
from tests.backplane.relays import relay
from tests.engine_faults.trying import PATIENCE, Outcome, Place, check, try_fault
from tests.workers.stand_ins import equipped
from wsframe.backplane.boottime import boottime
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.workers.relay_keeper import RelayKeeper

__all__ = ["RELAY_FAULTS", "kill_relay", "stay_local"]

KILLED = "relay killed"
LOCAL = "server frozen for 5 s, between workers of one machine"
RELAY_FAULTS = (KILLED, LOCAL)
RELAY_WITHIN = 2.0


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder with a short path, for unix sockets."""
    with TemporaryDirectory(prefix="wsframe-relay-") as short:
        yield Path(short)


@asynccontextmanager
async def kept_relay(place: Path, url: str) -> AsyncIterator[tuple[RelayKeeper, str]]:
    """Keep a relay running, as a supervisor does."""
    with equipped(place, 1) as made:
        keeper = RelayKeeper(made, engine=url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            yield keeper, made.runtime.path("relay")
            nursery.cancel_scope.cancel()


async def kill_relay(place: Place) -> Outcome:
    """Kill the relay of a node: messages of another machine have to come again, after a gap."""
    with folder() as short:
        async with kept_relay(short, place.server.url) as (keeper, path):

            async def killed(_: Place, run: Stream) -> tuple[float, float]:
                await run.flows(100)
                at = boottime()
                os.kill(keeper.pid, signal.SIGKILL)
                return at, at

            return await try_fault(place, KILLED, killed, make_node=lambda: RelayBackplane(path), within=RELAY_WITHIN)


async def stay_local(place: Place) -> Outcome:
    """Freeze the engine: the messages from one worker to another go on without a hole."""
    before, failures = memory(), list[str]()
    with folder() as short, trio.fail_after(PATIENCE):
        path = short / "relay"
        async with relay(path, engine=place.make()), stream(lambda: RelayBackplane(str(path))) as run:
            account = run.account
            await account.until(lambda: account.up_at)
            gaps, holes, before_it, at = account.gaps, account.holes, account.received, boottime()
            place.server.freeze()
            try:
                await trio.sleep(5)
                check(failures, "gaps while it was frozen", account.gaps - gaps, 0)
                received = account.received - before_it
                await run.flows()
            finally:
                place.server.thaw()
            back = boottime()
            await account.until(lambda: account.up_at > at)
            await run.flows()
    check(failures, "holes", account.holes - holes, 0)
    check(failures, "growth", memory() - before, 64 << 20)
    if received < 100:
        failures.append(f"only {received} messages came while the engine was frozen")
    detected, recovered = account.down_at - at, account.up_at - back
    return Outcome(place.engine, LOCAL, detected, recovered, account.holes - holes, 0, memory() - before, failures)
