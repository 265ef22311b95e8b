"""A resource that keeps a history of its topics, on one server or two, and its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from trio.testing import wait_all_tasks_blocked

import wsframe
from wsframe.backplane import History, MemoryBackplane, MemoryHub, Position
from wsframe.resources.topics.topics import Topics
from wsframe.testing import Kit, open_kit


class Feed(wsframe.Resource):
    """``+TOPIC`` subscribes, ``-TOPIC`` unsubscribes, ``TOPIC MESSAGE`` publishes, ``?TOPIC EPOCH OFFSET`` resumes."""

    scope = "shared"

    history: ClassVar[History | None] = History(messages=5)

    def __init__(self) -> None:
        self.resyncs: list[str] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message.startswith("+"):
            self.subscribe(client, message[1:])
            client.send_text(message)
        elif message.startswith("-"):
            self.unsubscribe(client, message[1:])
            client.send_text(message)
        elif message.startswith("?"):
            topic, *since = message[1:].split()
            recovery = await self.server.resume(client, topic, Position(*map(int, since)) if since else None)
            missed = recovery.publications
            client.send_text("lost" if missed is None else " ".join(str(one.message) for one in missed))
            client.send_text("at " + (" ".join(map(str, recovery.position)) if recovery.position else "unknown"))
        else:
            self.publish_text(*message.split(" ", 1))

    async def resync(self, topic: str) -> None:
        self.resyncs.append(topic)
        await super().resync(topic)

    async def snapshot(self, client: wsframe.Client, topic: str) -> None:
        client.send_text(f"snapshot of {topic}")


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[Kit, Kit]]:
    hub = MemoryHub()
    async with (
        open_kit(Feed(), backplane=MemoryBackplane(hub)) as one,
        open_kit(Feed(), backplane=MemoryBackplane(hub)) as two,
    ):
        yield one, two


async def subscribed(kit: Kit, *topics: str) -> Any:
    client = await kit.connect()
    for topic in topics:
        client.send_text("+" + topic)
        assert await client.receive() == "+" + topic
    await wait_all_tasks_blocked()
    return client


def topics_of(kit: Kit) -> Topics:
    topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
    return topics


async def position_of(client: Any) -> tuple[str, str]:
    """Return the answer to a resumption: the messages, and the position."""
    missed, position = await client.receive(), await client.receive()
    assert position.startswith("at ")
    return missed, position[3:]
