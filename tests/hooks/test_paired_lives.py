"""Lives of two processes find each other by their path."""

from __future__ import annotations

import pytest

import wsframe
from tests.handing import Goer
from tests.local_server import local_server_of
from tests.rooms import opened
from tests.wire import connected
from wsframe.hooks.paired_lives import address_of, join_at
from wsframe.http.responses import Reject


async def test_an_address_leads_to_the_registered_resource_whatever_its_pattern() -> None:
    pattern, exact = Goer(), Goer()
    registry = wsframe.Registry()
    registry.register("/rooms/{room}", pattern)
    registry.register("/", exact)
    async with opened(registry) as server:
        roster = local_server_of(server).roster
        for life in roster.listeners():
            address = address_of(roster, life)
            assert address is not None
            assert join_at(roster, address, None) is life
            life.leave()


async def test_a_resource_of_a_dispatcher_has_no_address() -> None:
    registry = wsframe.Registry()
    registry.register_dispatcher(lambda request: Goer())
    async with opened(registry) as server, connected(server, "/x"):
        roster = local_server_of(server).roster
        (life,) = roster.listeners()
        assert address_of(roster, life) is None


@pytest.mark.parametrize(
    ("came_by", "query"),
    [("/arena/%C3%A4?x=1", "x=1"), ("/arena/%c3%a4?x=1", "x=1"), ("/", None), ("/lobby/7?x=1", None), ("/gone", None)],
)
async def test_a_made_resource_is_found_by_its_own_path_also_for_a_client_that_has_moved_to_it(
    came_by: str, query: str | None
) -> None:
    asked: list[wsframe.Request] = []

    def arena(request: wsframe.Request) -> Goer:
        asked.append(request)
        return Goer()

    registry = wsframe.Registry()
    registry.register("/", Goer())
    registry.register_factory("/lobby/{name}", lambda request: Goer())
    registry.register_factory("/arena/{name}", arena)
    async with opened(registry) as server:
        roster = local_server_of(server).roster
        life = join_at(roster, ("made", "/arena/%C3%A4"), wsframe.Request(came_by, []))
        address = address_of(roster, life)
        assert address is not None
        assert address[1].lower() == "/arena/%c3%a4"
        life.leave()
    assert [(one.path_params["name"].lower(), one.query_string) for one in asked] == [("%c3%a4", query)]


@pytest.mark.parametrize("address", [("registered", "/gone"), ("made", "/gone"), ("made", "/")])
async def test_an_address_that_leads_nowhere_is_refused(address: tuple[str, str]) -> None:
    registry = wsframe.Registry()
    registry.register("/", Goer())
    async with opened(registry) as server:
        with pytest.raises(Reject):
            join_at(local_server_of(server).roster, address, None)
