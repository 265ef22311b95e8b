"""The way from a resource to the server that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import wsframe
from tests.wire import connected, serving
from wsframe import Accept, Registry, Request
from wsframe.testing import open_kit


class Guest(wsframe.Resource):
    """Notes from where it saw which server."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, wsframe.Server]] = []

    def see(self, where: str) -> None:
        self.seen.append((where, self.server))

    async def accept_client(self, request: Request) -> Accept | None:
        self.see("accept_client")
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.see("entered")
        assert self.server.statistics().clients == 0
        yield
        self.see("left")

    async def client_connected(self, client: wsframe.Client) -> None:
        self.see("connected")
        client.send(f"{self.server.clients} at {self.server.addresses[0]}")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        other = self.server.find(message)
        client.send(f"{other is self}")

    async def disconnected(self, client: wsframe.Client) -> None:
        self.see("disconnected")


PLACES = ["entered", "accept_client", "connected", "disconnected", "left"]


def is_not_served(resource: wsframe.Resource) -> None:
    with pytest.raises(RuntimeError, match=r"^Guest is not being served"):
        resource.server  # noqa: B018


async def test_it_is_known_as_long_as_the_resource_is_served() -> None:
    guest = Guest()
    is_not_served(guest)
    async with serving(guest) as server:
        async with connected(server) as peer:
            assert await peer.receive_text() == f"1 at {server.addresses[0]}"
            assert guest.server is server
        server.close()
    assert guest.seen == [(where, server) for where in PLACES]
    is_not_served(guest)


async def test_it_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Guest().server = None  # type: ignore[misc,assignment]


@pytest.mark.parametrize("kind", ["registered", "factory", "dispatcher", "delivered"])
async def test_however_the_resource_came_to_be_served(kind: str) -> None:
    guest, registry = Guest(), Registry()

    class Door(wsframe.Resource):
        async def accept_client(self, request: Request) -> Accept:
            return Accept(deliver_to=guest)

    match kind:
        case "registered":
            registry.register("/x", guest)
        case "factory":
            registry.register_factory("/{name}", lambda request: guest)
        case "dispatcher":
            registry.register_dispatcher(lambda request: guest)
        case _:
            registry.register("/x", Door())
    async with open_kit(registry) as kit:
        client = await kit.connect("/x")
        assert guest.server is kit.server
        client.send_text("/x")
        assert await client.receive_text() == f"1 at {kit.server.addresses[0]}"
        assert await client.receive_text() == str(kind in ("registered", "factory"))
    assert {server for _, server in guest.seen} == {kit.server}
    is_not_served(guest)


async def test_a_hook_may_close_its_server() -> None:
    class Last(wsframe.Resource):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            self.server.close(1012)

    async with open_kit(Last()) as kit:
        client = await kit.connect()
        client.send_text("enough")
        assert (await client.closed()).code == 1012
        await kit.server.closed()


async def test_one_server_after_another() -> None:
    guest = Guest()
    servers = []
    for _ in range(2):
        async with open_kit(guest) as kit:
            assert guest.server is kit.server
            servers.append(kit.server)
    assert [server for _, server in guest.seen] == [servers[0]] * 2 + [servers[1]] * 2
