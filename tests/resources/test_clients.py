"""The connected clients of a resource, to look at."""

from __future__ import annotations

from typing import Any

from wsframe import Client, Resource
from wsframe.resources.clients import Clients
from wsframe.testing import open_kit


async def test_iterating_takes_a_snapshot_in_order_of_arrival() -> None:
    room: Resource = Resource()
    async with open_kit(room) as kit:
        for number in ("1", "2"):
            await kit.connect(headers={"X-Number": number})
        clients = room.clients
        assert isinstance(clients, Clients)
        assert len(clients) == 2
        assert [client.request.headers["x-number"] for client in clients] == ["1", "2"]
        assert all(client in clients for client in clients)
        assert repr(clients) == "<Clients 2>"


def test_a_change_while_iterating_does_no_harm() -> None:
    one, two = object(), object()
    kept: dict[Any, None] = {one: None, two: None}
    clients: Clients[Any] = Clients(kept)
    seen: list[Client[Any]] = []
    for client in clients:
        kept.clear()
        seen.append(client)
    assert seen == [one, two]
    assert not clients
