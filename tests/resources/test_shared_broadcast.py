"""Broadcasts of a shared resource reach its clients in all workers."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

import wsframe
from tests.workers.services import Service, opened
from wsframe import Registry, Resource, any_origin


class Feed(Resource):
    scope = "shared"

    def __init__(self) -> None:
        self.holes: list[str] = []

    async def client_connected(self, client: wsframe.Client) -> None:
        client.send_text("welcome")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.broadcast_text(message, exclude=client if message == "not me" else ())

    async def missed(self, topic: str) -> None:
        self.holes.append(topic)


def register(registry: Registry, slot: int) -> None:
    registry.register("/feed", Feed(), any_origin)
    registry.register_factory("/feeds/{name}", lambda _: Feed(), any_origin, scope="shared")


async def come(stack: AsyncExitStack, service: Service, path: str) -> list[wsframe.WebSocket]:
    """Connect a client to each worker."""
    found = []
    for slot in range(service.count):
        ws = await stack.enter_async_context(wsframe.connect(service.url(slot, path)))
        assert await ws.receive() == "welcome"
        found.append(ws)
    return found


@pytest.mark.parametrize("path", ["/feed", "/feeds/a"])
async def test_a_broadcast_reaches_the_clients_of_all_workers_once_and_in_order(path: str) -> None:
    async with opened(3, register) as service, AsyncExitStack() as stack:
        clients = await come(stack, service, path)
        for number in range(50):
            await clients[1].send_text(str(number))
        for ws in clients:
            assert [await ws.receive() for _ in range(50)] == [str(number) for number in range(50)]
        await clients[0].send_text("not me")
        await clients[0].send_text("end")
        assert [await ws.receive() for ws in clients] == ["end", "not me", "not me"]


async def test_a_client_whose_client_connected_has_begun_gets_each_later_broadcast() -> None:
    async with opened(2, register) as service, AsyncExitStack() as stack:
        (first, _) = await come(stack, service, "/feeds/a")
        for number in range(30):
            async with wsframe.connect(service.url(1, "/feeds/a")) as late:
                assert await late.receive() == "welcome"
                await first.send_text(str(number))
                assert await late.receive() == str(number)
                assert await first.receive() == str(number)


async def test_clients_of_another_path_get_nothing() -> None:
    async with opened(2, register) as service, AsyncExitStack() as stack:
        feed, other = await come(stack, service, "/feeds/a"), await come(stack, service, "/feeds/b")
        await feed[0].send_text("for a")
        await other[0].send_text("for b")
        assert [await ws.receive() for ws in other] == ["for b", "for b"]
        assert [await ws.receive() for ws in feed] == ["for a", "for a"]


async def test_all_three_kinds_of_broadcast_reach_other_workers_with_their_options() -> None:
    async with opened(2, register) as service, AsyncExitStack() as stack:
        clients = await come(stack, service, "/feed")
        feed = service.server(0).find("/feed")
        assert feed is not None
        assert feed.broadcast_binary(b"\0\1", compress=False) == (1, 0)
        assert feed.broadcast_json({"a": [1]}, frame_size=3) == (1, 0)
        assert feed.broadcast_text(b"bytes of text", key=7) == (1, 0)
        for ws in clients:
            assert [await ws.receive() for _ in range(3)] == [b"\0\1", '{"a":[1]}', "bytes of text"]
        with pytest.raises(TypeError, match="a str, an int or None"):
            feed.broadcast_text("x", key=(1, 2))
        with pytest.raises(TypeError):
            feed.broadcast_binary("x")  # type: ignore[arg-type]
        assert feed.broadcast_json("here", clients=list(feed.clients)) == (1, 0)  # the function is local
        await clients[1].send_text("end")
        assert [await ws.receive() for ws in clients] == ['"here"', "end"]
        assert await clients[0].receive() == "end"


async def test_one_process_broadcasts_to_its_own_clients_alone() -> None:
    async with opened(1, register) as service, AsyncExitStack() as stack:
        (ws,) = await come(stack, service, "/feed")
        feed = service.server(0).find("/feed")
        assert feed is not None
        assert feed.broadcast_text("x", key=(1, 2)) == (1, 0)  # any key that can be hashed
        assert await ws.receive() == "x"


async def test_11_a_hole_is_told_to_the_shared_resource_before_its_next_broadcast() -> None:
    async with opened(2, register) as service, AsyncExitStack() as stack:
        await come(stack, service, "/feed")
        feed = service.server(1).find("/feed")
        assert isinstance(feed, Feed)
        service.engines[1].topics.gap(None)
        while not feed.holes:  # noqa: ASYNC110
            await trio.sleep(0.001)
        assert feed.holes == ["wsframe: clients of /feed"]


async def test_a_program_cannot_name_a_topic_of_wsframes_own() -> None:
    async with opened(1, register) as service, AsyncExitStack() as stack:
        await come(stack, service, "/feed")
        feed = service.server(0).find("/feed")
        assert feed is not None
        (client,) = feed.clients
        for use in (feed.subscribe, feed.unsubscribe):
            with pytest.raises(ValueError, match="wsframe's own"):
                use(client, "wsframe: clients of /feed")
        with pytest.raises(ValueError, match="wsframe's own"):
            feed.publish_text("wsframe: posts to 0", "x")
