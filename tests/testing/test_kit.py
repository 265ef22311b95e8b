"""A server in memory is the one of production."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests import wire
from tests.recorder import Echo, Recorder
from wsframe import Capacity, Registry, Timeouts
from wsframe.connection.link import Link
from wsframe.hooks.listener import Listener
from wsframe.testing import ClientClosed, Refused, open_client, open_kit


async def test_everybody_hears_everybody(autojump_clock: MockClock) -> None:
    class Chat(wsframe.Resource):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            self.broadcast_text(message)

    chat = Chat()
    async with open_kit(chat) as kit:
        alice, bob = await kit.connect(), await kit.connect()
        alice.send_text("hello")
        assert await alice.receive() == await bob.receive() == "hello"
        assert len(chat.clients) == kit.server.clients == 2
    assert len(chat.clients) == 0


async def test_a_resource_is_served_alone_and_a_registry_with_the_global_one() -> None:
    started: list[str] = []

    class Global(Echo):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            started.append("global")
            yield

    wsframe.register_global_resource("/global", Global())
    try:
        async with open_kit(Echo()) as kit:
            with pytest.raises(Refused, match="404"):
                await kit.connect("/global")
        assert started == []
        async with open_kit(Registry()) as with_it, open_kit(Registry(alone=True)) as without:
            await with_it.connect("/global")
            with pytest.raises(Refused, match="404"):
                await without.connect("/global")
        assert started == ["global"]
    finally:
        wsframe.unregister_global_resource("/global")


async def test_links_and_listeners_are_those_of_real_sockets() -> None:
    """A client in memory costs the server the same objects."""
    kinds: list[tuple[type, ...]] = []

    class Nosy(wsframe.Resource):
        async def client_connected(self, client: wsframe.Client) -> None:
            link: Any = client._link
            kinds.append((type(link), type(link.outbox), type(link.connection), type(link.inbox), type(self._listener)))
            client.close()

    async with open_client(Nosy()) as client:
        await client.closed()
    async with wire.serving(Nosy()) as server, wire.connected(server) as peer:
        await peer.receive_close()
    assert kinds[0] == kinds[1]
    assert (kinds[0][0], kinds[0][-1]) == (Link, Listener)


async def test_posts_calls_tasks_and_running_are_as_in_production(autojump_clock: MockClock) -> None:
    class Busy(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.journal.add("running")
            self.start_soon(self.tick)
            yield
            self.journal.add("over")

        async def tick(self) -> None:
            await trio.sleep(3600)
            self.broadcast_text("tick")

    busy = Busy()
    async with open_client(busy, patience=4000) as client:
        assert busy.post("hello")
        await busy.journal.until("custom hello")
        assert await busy.call(lambda: len(busy.clients)) == 1
        assert await client.receive() == "tick"
        assert trio.current_time() == pytest.approx(3600)
    assert busy.notes == ["running", "connected", "custom hello", "disconnected 1000", "over"]


async def test_registry_is_served_with_its_validators_and_patterns(autojump_clock: MockClock) -> None:
    registry, room = Registry(), Recorder()
    registry.register("/rooms/{name}", room, wsframe.origin_exact("http://chat.example"))
    async with open_kit(registry) as kit:
        with pytest.raises(Refused, match=r"^404"):
            await kit.connect()
        with pytest.raises(Refused, match=r"^403"):
            await kit.connect("/rooms/x", origin="http://localhost")
        client = await kit.connect("/rooms/x", origin="http://chat.example")
        await room.journal.until("connected")
        assert room.only.request.path_params == {"name": "x"}
        assert client.answer.status == 101


async def test_capacity_counts_addresses(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), capacity=Capacity(max_clients_per_address=1)) as kit:
        await kit.connect(address="10.0.0.1")
        with pytest.raises(Refused, match=r"^429"):
            await kit.connect(address="10.0.0.1")
        await kit.connect(address="10.0.0.2")
        assert kit.server.statistics()[:5] == (2, 2, 0, 2, 1)


async def test_http_requests_are_answered(autojump_clock: MockClock) -> None:
    async def page(request: wsframe.Request) -> wsframe.Response:
        return wsframe.Response(f"{request.method} {request.headers['X-Y']}")

    async with open_kit(Recorder(), http_handler=page) as kit:
        answer = await kit.request("/health", headers={"X-Y": "z"})
        assert (answer.status, answer.text, answer.body) == (200, "GET z", b"GET z")
        assert (await kit.request("/", method="HEAD", headers={"X-Y": "z"})).body == b""


async def test_bytes_without_a_handshake_are_answered_as_they_deserve(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), timeouts=Timeouts(handshake=3)) as kit:
        wrong, slow = kit.dial(), kit.dial()
        wrong.send_bytes(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        assert (await wrong.receive_bytes()).startswith(b"HTTP/1.1 400 ")
        slow.send_bytes(b"GET / HTTP")
        assert (await slow.receive_bytes()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == pytest.approx(3)
        assert await slow.ended() == "eof"
        assert await slow.receive_bytes() == b""


async def test_server_that_stops_refuses_and_closes(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder()) as kit:
        client, mute = await kit.connect(), kit.dial()
        mute.send_bytes(b"GET / HTTP/1.1\r\n")
        await wait_all_tasks_blocked()
        kit.server.close(1012)
        assert await client.closed() == (1012, "server stopping")
        assert (await mute.receive_bytes()).startswith(b"HTTP/1.1 503 ")
        await kit.server.closed()
        with pytest.raises(ConnectionRefusedError):
            await kit.connect()


@pytest.mark.parametrize("websocket", [True, False])
async def test_connection_that_ends_without_an_answer_is_an_exception(
    autojump_clock: MockClock, websocket: bool
) -> None:
    class Pensive(Recorder):
        async def accept_client(self, request: wsframe.Request) -> None:
            await trio.sleep_forever()

    async def think(request: wsframe.Request) -> wsframe.Response:
        await trio.sleep_forever()
        raise AssertionError

    async with open_kit(Pensive(), http_handler=think) as kit, trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(ClientClosed, match=r"^1006$"):
                await (kit.connect() if websocket else kit.request("/"))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        kit.server.hurry()


async def test_error_of_the_test_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    room = Recorder()

    async def fail() -> None:
        async with open_client(room):
            await room.journal.until("connected")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert room.notes == ["connected", "disconnected 1006"]


async def test_error_of_the_server_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    class Broken(Recorder):
        def running(self) -> AbstractAsyncContextManager[None]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with open_kit(Broken()):
            pass


@pytest.mark.parametrize("nested", [False, True])
async def test_error_of_the_server_while_the_test_waits_comes_out_as_it_is(
    nested: bool, autojump_clock: MockClock
) -> None:
    class Broken(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            raise LookupError(message)

    async def provoke() -> None:
        async with open_client(Broken(), debug=True) as client:
            client.send_text("boom")
            if not nested:
                await trio.sleep_forever()
            async with trio.open_nursery():
                await trio.sleep_forever()

    # Of all: a Cancelled that came out would pass for a test that passes.
    with pytest.raises(BaseException, match="boom") as caught:
        await provoke()
    assert type(caught.value) is LookupError


async def test_cancelled_test_is_cancelled(autojump_clock: MockClock) -> None:
    room = Recorder()
    with trio.move_on_after(5) as scope:
        async with open_client(room):
            await trio.sleep(10)
    assert scope.cancelled_caught
    assert room.notes[-1].startswith("disconnected")


async def test_clients_that_cannot_leave_in_order_are_reset(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_kit(room) as kit:
        polite, stalled, held = await kit.connect(), await kit.connect(), await kit.connect()
        stalled.stall()
        await room.journal.until("connected", 3)
        start = trio.current_time()
        polite.close(4000)
        held.send_text("hold")
    assert trio.current_time() - start <= 30
    assert sorted(room.notes) == [
        "connected", "connected", "connected", "disconnected 1000", "disconnected 1006", "disconnected 4000",
        "text hold",
    ]  # fmt: skip


@pytest.mark.parametrize("option", [{"port": 0}, {"sockets": [socket.socket]}, {"ssl_context": None}])
async def test_options_of_a_network_are_refused(option: Any) -> None:
    with pytest.raises(TypeError, match="the testing kit does not have"):
        async with open_kit(Echo(), **option):
            pass


async def test_hundreds_of_clients_get_a_broadcast(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_kit(room, capacity=Capacity(max_clients=300)) as kit:
        clients = [await kit.connect() for _ in range(300)]
        assert room.broadcast_text("hello") == (300, 0)
        assert {await client.receive() for client in clients} == {"hello"}
