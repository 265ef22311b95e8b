"""``python program.py NAME URL --rate N --kept N --channels N``: one of the servers, which publishes numbers."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import trio

import wsframe
from wsframe import Capacity, Client, Registry
from wsframe.backplane import History
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.centrifuge import CentrifugeOptions, CentrifugeResource, Connected, Subscribed

ROOM = "room"


def feed(number: int) -> str:
    """Return the name of a channel."""
    return f"feed-{number}"


class Feed(CentrifugeResource):
    """Publishes on some channels in turn, and has the users of another one as its members."""

    def __init__(self, name: str, rate: float, channels: int = 1) -> None:
        self.name = name
        self.channels = [feed(number) for number in range(channels)]
        self.every = 1 / rate
        self.flows = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.publish_numbers)
        yield

    async def publish_numbers(self) -> None:
        began = trio.current_time()
        for number in count():
            await trio.sleep_until(began + number * self.every)
            if not self.flows:
                return
            self.publish(self.channels[number % len(self.channels)], f"{self.name}-{number}")

    def history_of(self, channel: str) -> History | None:
        return self.history if channel in self.channels else None

    async def connecting(self, client: Client, token: str, data: object) -> Connected:
        return Connected(user=token)

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        return Subscribed(presence=True, join_leave=True, members="users") if channel == ROOM else None

    async def rpc(self, client: Client, method: str, data: object) -> object:
        if method == "hush":
            self.flows = False
            return None
        metrics = self.server.statistics().metrics
        return {f"{name} {labels[0]}": metrics[f"wsframe_history_{name}_total"][labels] for name, labels in COUNTS}


COUNTS = [(name, (outcome,)) for name, outcome in (
    ("recoveries", "whole"), ("recoveries", "refused"), ("holes", "filled"), ("holes", "resync"),
)]  # fmt: skip


def announce(server: wsframe.Server) -> None:
    print(f"Serving at http{server.addresses[0].removeprefix('ws')}/", flush=True)


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=1)
    parser.add_argument("--kept", type=int, default=100)
    parser.add_argument("--channels", type=int, default=1)
    arguments = parser.parse_args()
    Feed.history = History(messages=arguments.kept, seconds=600)
    Feed.options = CentrifugeOptions(max_history=arguments.kept)
    registry = Registry()
    registry.register(
        "/connection/websocket", Feed(arguments.name, arguments.rate, arguments.channels), wsframe.any_origin
    )
    wsframe.run(
        registry,
        port=0,
        backplane=RedisBackplane(arguments.url),
        capacity=Capacity(max_clients=4_000, max_pending_handshakes=4_000),
        started=announce,
        log_level="error",
    )


if __name__ == "__main__":
    main()
