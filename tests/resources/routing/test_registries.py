"""The registries of one server together: the first that knows a path wins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import wsframe
from wsframe import Registry, Reject, Resource
from wsframe.http.request import Request
from wsframe.resources.routing.factories import Factory
from wsframe.resources.routing.registries import Registries


def request(path: str) -> Request:
    return Request(path, [], host="127.0.0.1", port=1)


def test_the_first_registry_that_knows_a_path_wins() -> None:
    mine, others = Registry(), Registry()
    one, two = Resource(), Resource()
    mine.register("/both", one)
    others.register("/both", two)
    others.register("/theirs", two)
    registries = Registries([mine, others])
    assert list(registries) == [mine, others]
    for path, resource in (("/both", one), ("/theirs", two)):
        found = registries.answer(request(path))
        assert found is not None
        assert found[0].resource is resource
        assert registries.lookup(path) == (resource, {})
        assert registries.answer_unasked(request(path)) == found
    assert registries.answer(request("/none")) is None
    assert registries.lookup("/none") is None
    assert registries.answer_unasked(request("/none")) is None
    assert registries.resources() == {id(one): one, id(two): two}


async def test_nothing_is_known_unasked_behind_a_dispatcher() -> None:
    asking, others = Registry(), Registry()
    asking.register_dispatcher(lambda request: None)
    others.register("/there", Resource())
    registries = Registries([asking, others])
    assert registries.answer_unasked(request("/there")) is None
    assert registries.answer(request("/there")) is not None


def test_resources_are_the_same_only_by_identity() -> None:
    class Equal(Resource):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    registry, registered = Registry(), Equal()
    registry.register("/", registered)
    assert Registries([registry]).has(registered)
    assert not Registries([registry]).has(Equal())


def test_factories_are_found_in_all_registries() -> None:
    one, two = Registry(), Registry()
    one.register_factory("/one/{name}", lambda request: Resource())
    two.register_factory("/two/{name}", lambda request: Resource())
    factories = Registries([one, two]).factories()
    assert len(factories) == 2
    assert all(isinstance(factory, Factory) for factory in factories)


@pytest.mark.parametrize("path", ["no slash", "/a space", "/\x7f", "/a?query", "/#", ""])
def test_a_path_that_no_request_can_ask_for_has_no_resource(path: str) -> None:
    registry = Registry()
    registry.register_dispatcher(lambda request: Resource())
    with pytest.raises(Reject) as refused:
        Registries([registry]).at(path, request("/here"))
    assert refused.value.status == 404


def test_a_client_at_another_path_has_its_request_there() -> None:
    registry, target = Registry(), Resource()
    registry.register("/rooms/{name}", target)
    here = Request("/here?token=1", [], host="127.0.0.1", port=1)
    found, there = Registries([registry]).at("/rooms/blue", here)
    assert found is target
    assert (there.path, there.query_string, dict(there.path_params)) == ("/rooms/blue", None, {"name": "blue"})
    assert (here.path, here.query_string) == ("/here", "token=1")
    with pytest.raises(Reject):
        Registries([registry]).at("/nowhere", here)


async def test_changes_are_reported_until_they_are_no_longer_watched() -> None:
    one, two = Registry(), Registry()
    registries = Registries([one, two])
    seen: list[int] = []
    changed: Callable[[], None] = lambda: seen.append(1)  # noqa: E731
    registries.watch(changed)
    one.register("/", wsframe.Resource())
    two.register("/", wsframe.Resource())
    assert len(seen) == 2
    registries.unwatch(changed)
    one.unregister("/")
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("/chat/", "no resource at '/chat/'; there is one at '/chat'"),
        ("//chat//", "no resource at '//chat//'; there is one at '/chat'"),
        ("/list", "no resource at '/list'; there is one at '/list/'"),
        ("/rooms/a/", "no resource at '/rooms/a/'; there is one at '/rooms/{name}'"),
        ("/caf%c3%a9/", "no resource at '/caf%c3%a9/'; there is one at '/caf%C3%A9'"),
        ("/chat/x", "no resource at '/chat/x'"),
        ("/chat'\x1b/", '"/chat\'\\x1b/"'),
        ("//", "no resource at '//'"),
    ],
)
def test_a_path_that_misses_one_by_slashes_alone_is_told_it(asked: str, reason: str) -> None:
    mine, others = Registry(), Registry()
    mine.register("/chat", Resource())
    others.register("/list/", Resource())
    others.register("/rooms/{name}", Resource())
    others.register("/café", Resource())
    others.register_dispatcher(lambda request: pytest.fail("dispatchers are not asked"))
    refusal = Registries([mine, others]).refusal(request(asked))
    assert refusal.status == 404
    assert reason in refusal.body
