"""Where resources live: found from the table and the path alone, and the same in every worker."""

from __future__ import annotations

from functools import partial

import pytest

import wsframe
from wsframe import LivesElsewhere, Registry, Request, Resource
from wsframe.resources.routing.registries import Registries
from wsframe.resources.routing.worker_of_path import UNREGISTERED, Whereabouts
from wsframe.workers.placement import Placement


class Shared(Resource):
    scope = "shared"


class Room(Resource):
    scope = "path"


def must_not_run(request: Request) -> Resource:
    raise AssertionError(request)


def whereabouts(registry: Registry, slot: int = 1, count: int = 4, *more: Registry) -> Whereabouts:
    made = Whereabouts(Registries([registry, *more]), Placement(slot, count))
    made.learn()
    return made


def full() -> Registry:
    registry = Registry(alone=True)
    registry.register("/one", Resource())
    registry.register("/path", Room())
    registry.register("/shared", Shared())
    registry.register_factory("/rooms/{room}", must_not_run, scope="path")
    registry.register_factory("/Any/{room}", must_not_run, scope="path", ignore_case=True)
    registry.register_factory("/halls/{room}", must_not_run)
    return registry


PATHS = ["/one", "/path", "/shared", "/rooms/1", "/rooms/%e9", "/any/A", "/ANY/a", "/halls/1"]


def test_5_all_workers_find_the_same_partition_and_run_no_code_for_it() -> None:
    found = [[whereabouts(full(), slot).asked_for(path) for path in PATHS] for slot in range(4)]
    assert found[0] == found[1] == found[2] == found[3]
    assert None not in found[0]


@pytest.mark.parametrize("path", PATHS)
def test_5_each_object_lives_in_one_worker_or_in_all(path: str) -> None:
    places = [whereabouts(full(), slot) for slot in range(4)]
    residence = places[0].asked_for(path)
    assert residence is not None
    assert sum(place.is_here(residence) for place in places) == (4 if path == "/shared" else 1)


def test_5_paths_that_share_an_object_have_one_key() -> None:
    place = whereabouts(full())
    assert place.asked_for("/any/A") == place.asked_for("/any/A")
    same = {place.asked_for(path).key for path in ("/any/A", "/ANY/A", "/aNy/A")}  # type: ignore[union-attr]
    assert len(same) == 1
    other = place.asked_for("/any/a")  # the case of the part that {room} matches counts
    assert other is not None
    assert other.key not in same
    spellings = {place.asked_for(path).key for path in ("/rooms/%e9", "/rooms/%E9")}  # type: ignore[union-attr]
    assert len(spellings) == 1


def test_5_a_request_and_a_program_that_names_the_path_find_the_same_key() -> None:
    place = whereabouts(full())
    assert place.named("/rooms/é") is not None
    assert place.named("/rooms/é") == place.asked_for("/rooms/%C3%A9")
    assert place.named("/rooms/1") == place.asked_for("/rooms/1")


def test_the_case_of_a_path_that_is_registered_with_any_case_does_not_count() -> None:
    registry = Registry(alone=True)
    registry.register("/Chat", Room(), ignore_case=True)
    place = whereabouts(registry)
    assert place.asked_for("/CHAT")._replace(path="") == place.asked_for("/chat")._replace(path="")  # type: ignore[union-attr]


def test_a_path_of_the_servers_own_registry_hides_the_global_one() -> None:
    own, other = Registry(alone=True), Registry(alone=True)
    own.register("/a", Room())
    other.register("/a", Resource())
    other.register("/b", Resource())
    place = whereabouts(own, 1, 4, other)
    found = [place.asked_for(path) for path in ["/a", "/b", "/c"]]
    assert [one and one.scope for one in found] == ["path", "one", None]


def test_what_a_dispatcher_decides_is_in_the_first_worker_and_none_is_asked() -> None:
    registry = full()
    registry.register_dispatcher(must_not_run)
    registry.register("*", Shared())
    place = whereabouts(registry)
    assert place.asked_for("/nothing/registered") is UNREGISTERED
    assert place.asked_for("/shared") != UNREGISTERED
    named = place.named("/nothing/registered")
    assert named is not None
    assert named.scope == "shared"


def test_the_rest_of_all_paths_is_in_the_first_worker_unless_a_factory_spreads_it() -> None:
    for register, spread in ((partial(Registry.register, path="*", resource=Resource()), False), (
        partial(Registry.register_factory, path="*", factory=must_not_run, scope="path"), True)):  # fmt: skip
        registry = Registry(alone=True)
        register(registry)
        found = {whereabouts(registry).asked_for(f"/{number}").partition for number in range(50)}  # type: ignore[union-attr]
        assert (len(found) > 10) is spread


def test_an_object_elsewhere_says_in_which_worker_and_how_to_reach_it() -> None:
    place = whereabouts(full(), 2)
    residence = place.asked_for("/one")
    assert residence is not None
    with pytest.raises(LivesElsewhere, match=r"Lobby at /one lives in worker 0, and this is worker 2") as caught:
        place.check_can_begin(residence, "Lobby")
    assert "server.post('/one', message)" in str(caught.value)
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, wsframe.WsframeError)


@pytest.mark.parametrize("path", ["/rooms/{room}", "*"])
def test_one_object_for_many_paths_cannot_be_spread(path: str) -> None:
    registry = Registry(alone=True)
    registry.register(path, Room())
    with pytest.raises(ValueError, match=r"register_factory\(.*scope='path'\)"):
        whereabouts(registry).check()


def test_one_object_at_two_paths_cannot_be_spread() -> None:
    room = Room()
    one, other = Registry(alone=True), Registry(alone=True)
    one.register("/a", room)
    other.register("/b", room)
    with pytest.raises(ValueError, match=r"/a and /b lead to one Room.*scope = 'one'"):
        whereabouts(one, 1, 4, other).check()


def test_factories_and_shared_objects_and_exact_paths_can_be_spread() -> None:
    registry = full()
    shared = Shared()
    registry.register("/x/{y}", shared)
    registry.register("*", shared)
    whereabouts(registry).check()


def test_the_summary_says_what_is_in_the_first_worker_and_what_could_be_spread() -> None:
    line = whereabouts(full()).summary()
    assert line == (
        "in worker 0 live /one, /halls/{room}; in all workers live /path, /shared, /rooms/{room}, /Any/{room}; "
        "scope='path' would spread /halls/{room}"
    )
    assert "\n" not in line


def test_the_summary_names_few_of_many_paths() -> None:
    registry = Registry(alone=True)
    for number in range(100):
        registry.register(f"/{number}", Resource())
    assert whereabouts(registry).summary() == "in worker 0 live /0, /1, /2, /3, /4 and 95 more"
    assert whereabouts(Registry(alone=True)).summary() == "nothing is in worker 0 alone"


def test_a_scope_is_one_of_three() -> None:
    with pytest.raises(TypeError, match=r"scope must be one of one, path, shared"):

        class Wrong(Resource):
            scope = "everywhere"  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"scope must be one of one, path, shared"):
        Registry(alone=True).register_factory("/", must_not_run, scope="worker")  # type: ignore[arg-type]
