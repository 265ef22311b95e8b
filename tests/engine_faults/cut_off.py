"""``python -m tests.engine_faults.cut_off ENGINE NODE ENGINE_SPACE``: faults of the network; prints outcomes as JSON.

``__main__`` runs it in the namespace of the node. The engine runs in the other one. The publisher has its unix socket
and goes on while the node is cut off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from tests.backplane.faults import Stream
from tests.backplane.postgres_server import postgres_server
from tests.backplane.redis_server import redis_server
from tests.engine_faults.network import ENGINE_AT, Network
from tests.engine_faults.trying import Fault, Place, try_fault
from wsframe.backplane.boottime import boottime

__all__ = ["NETWORK_FAULTS"]

AWAY = 4.0
"""Seconds of each fault."""
PORT = 7390


async def link_down(place: Place, run: Stream) -> tuple[float, float]:
    """Pull the node's cable for a while."""
    assert place.network is not None
    at = boottime()
    place.network.link_down()
    await trio.sleep(AWAY)
    place.network.link_up()
    return at, boottime()


async def blackholed(place: Place, run: Stream) -> tuple[float, float]:
    """Lose all packets to the node for a while."""
    assert place.network is not None
    at = boottime()
    place.network.blackhole()
    await trio.sleep(AWAY)
    place.network.end_blackhole()
    return at, boottime()


NETWORK_FAULTS: dict[str, Fault] = {
    "link of the node down for 4 s": link_down,
    "packets to the node lost for 4 s": blackholed,
}


@contextmanager
def place_in(network: Network, engine: str) -> Iterator[Place]:
    """Start a server on the other machine."""
    with ExitStack() as stack:
        if engine == "postgresql":
            postgres = stack.enter_context(postgres_server(network.in_engine, ENGINE_AT))
            yield Place(postgres, engine, f"postgresql://postgres@{ENGINE_AT}/postgres", network)
        else:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="wsframe-redis-")))
            options = ("--bind", ENGINE_AT, "--port", str(PORT), "--protected-mode", "no")
            redis = stack.enter_context(redis_server(folder, *options, prefix=network.in_engine))
            yield Place(redis, engine, f"redis://{ENGINE_AT}:{PORT}", network)


async def try_all(place: Place) -> None:
    """Do all faults."""
    for name, fault in NETWORK_FAULTS.items():
        print(json.dumps((await try_fault(place, name, fault))._asdict()), flush=True)


if __name__ == "__main__":
    with place_in(Network(*sys.argv[2:]), sys.argv[1]) as found:
        trio.run(try_all, found)
