"""Registrations of one registry: exact paths, patterns, dispatchers, and the rest."""

import pytest

from wsframe import Request, Resource, any_origin
from wsframe.resources.routing.routing_table import Registration, RoutingTable


def registration() -> Registration:
    return Registration(Resource(), any_origin)


async def test_exact_paths_come_before_patterns_and_the_rest_comes_last() -> None:
    table, exact, pattern, dispatched, rest = RoutingTable(), *(registration() for _ in range(4))
    table.put("*", rest)
    table.put("/rooms/{name}", pattern)
    table.put("/rooms/hall", exact)
    table.dispatchers.append((lambda request: dispatched.resource if request.path == "/x" else None, any_origin))  # type: ignore[arg-type, return-value]
    assert table.answer(Request("/rooms/hall", [])) == (exact, {})
    assert table.answer(Request("/rooms/kitchen", [])) == (pattern, {"name": "kitchen"})
    assert table.answer(Request("/x", [])) == (dispatched, {})
    assert table.answer(Request("/y", [])) == (rest, {})
    assert table.lookup("/x") == (rest, {}), "dispatchers are not asked"
    assert len(table) == 4


def test_what_was_there_is_returned() -> None:
    table, one, other = RoutingTable(), registration(), registration()
    assert table.put("/a", one) is None
    assert table.put("/a", other) is one
    assert table.take("/a") is other
    assert table.take("/a") is None
    assert table.lookup("/a") is None


def test_paths_with_the_case_of_letters_come_before_those_without() -> None:
    table, strict, loose = RoutingTable(), registration(), registration()
    table.put("/Chat", strict)
    table.put("/chat", loose, ignore_case=True)
    found = {path: table.lookup(path) for path in ("/Chat", "/chat", "/CHAT")}
    assert found == {"/Chat": (strict, {}), "/chat": (loose, {}), "/CHAT": (loose, {})}


def test_two_patterns_for_the_same_paths_are_refused() -> None:
    table = RoutingTable()
    table.put("/{a}/x", registration())
    with pytest.raises(ValueError, match=r"/\{b\}/x"):
        table.put("/{b}/x", registration())
    table.put("/{b}/x", registration(), ignore_case=True)


def test_a_copy_goes_its_own_way() -> None:
    table = RoutingTable()
    table.put("/a", registration())
    copy = table.copy()
    copy.put("/b", registration())
    assert (len(table), len(copy)) == (1, 2)
    assert [path for path, _ in copy.registrations()] == ["/a", "/b"]
