"""Which resource answers which path."""

from collections.abc import Iterator
from typing import cast

import pytest
import trio

import wsframe
from tests.wire import connected, status
from wsframe.resources.routing.registry import Registry, global_registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clean_global_registry() -> Iterator[None]:
    before = global_registry.paths()
    yield
    for path in set(global_registry.paths()) - set(before):
        global_registry.unregister(path)


def make() -> wsframe.Resource:
    return wsframe.Resource()


def test_registered_resource_is_found(registry: Registry) -> None:
    chat = make()
    registry.register("/chat", chat)
    assert registry.find("/chat") is chat
    assert len(registry) == 1
    assert repr(registry) == "<Registry /chat>"


@pytest.mark.parametrize("path", ["/", "/chat/", "/Chat", "/cha", "/chat/x", "", "chat", "/%63hat"])
def test_paths_are_exact(registry: Registry, path: str) -> None:
    registry.register("/chat", make())
    assert registry.find(path) is None


def test_empty_registry_finds_nothing(registry: Registry) -> None:
    assert registry.find("/") is None
    assert (len(registry), repr(registry)) == (0, "<Registry empty>")


def test_parameters_match_one_segment_each(registry: Registry) -> None:
    room = make()
    registry.register("/rooms/{room}/users/{user}", room)
    found = registry.table.lookup("/rooms/a%20b/users/7")
    assert found is not None
    assert found[0].resource is room
    assert found[1] == {"room": "a%20b", "user": "7"}


@pytest.mark.parametrize("path", ["/rooms", "/rooms/", "/rooms/a/b", "/rooms/a/", "/Rooms/a", "//rooms/a"])
def test_parameters_match_nothing_else(registry: Registry, path: str) -> None:
    registry.register("/rooms/{room}", make())
    assert registry.find(path) is None


def test_exact_path_wins_over_parameters(registry: Registry) -> None:
    any_room, lobby = make(), make()
    registry.register("/rooms/{room}", any_room)
    registry.register("/rooms/lobby", lobby)
    assert registry.find("/rooms/lobby") is lobby
    found = registry.table.lookup("/rooms/lobby")
    assert found is not None
    assert (found[0].resource, found[0].origins, found[1]) == (lobby, wsframe.same_origin, {})
    assert registry.find("/rooms/other") is any_room


@pytest.mark.parametrize("path", ["chat", "", "ws://h/chat", "/chat?x=1", "/chat#x"])
def test_path_that_is_none_is_a_value_error(registry: Registry, path: str) -> None:
    with pytest.raises(ValueError, match="begins with '/'"):
        registry.register(path, make())
    assert len(registry) == 0


@pytest.mark.parametrize("path", ["/a{b}", "/{a}b", "/{a", "/{a}{b}", "/{a{b}}", "/x{/}"])
def test_parameter_that_is_no_whole_segment_is_a_value_error(registry: Registry, path: str) -> None:
    with pytest.raises(ValueError, match="parameter"):
        registry.register(path, make())
    assert len(registry) == 0


@pytest.mark.parametrize("path", ["/{}", "/{1}", "/{a-b}", "/{a}/{a}"])
def test_names_of_parameters_are_different_identifiers(registry: Registry, path: str) -> None:
    with pytest.raises(ValueError, match="identifiers"):
        registry.register(path, make())


def test_paths_that_differ_in_the_names_of_parameters_alone_are_one(registry: Registry) -> None:
    registry.register("/rooms/{room}", make())
    with pytest.raises(ValueError, match=r"registered already, as '/rooms/\{room\}'"):
        registry.register("/rooms/{name}", make())
    for other in ("/rooms/{room}/{name}", "/{room}/{name}", "/halls/{name}"):
        registry.register(other, make())
    again = make()
    registry.register("/rooms/{room}", again)
    assert registry.find("/rooms/kitchen") is again


def test_class_instead_of_an_object_is_a_type_error(registry: Registry) -> None:
    class Chat(wsframe.Resource):
        pass

    with pytest.raises(TypeError, match=r"Chat\(\)"):
        registry.register("/chat", cast("wsframe.Resource", Chat))


@pytest.mark.parametrize("thing", [None, "chat", print])
def test_object_of_no_resource_class_is_a_type_error(registry: Registry, thing: object) -> None:
    with pytest.raises(TypeError, match="Resource"):
        registry.register("/chat", cast("wsframe.Resource", thing))


def test_validator_that_cannot_be_called_is_a_type_error(registry: Registry) -> None:
    with pytest.raises(TypeError, match="origins"):
        registry.register("/chat", make(), cast("wsframe.OriginValidator", "http://localhost"))
    assert len(registry) == 0


def test_same_origin_is_the_default(registry: Registry) -> None:
    registry.register("/default", make())
    registry.register("/any", make(), wsframe.any_origin)
    found = [registry.table.lookup("/default"), registry.table.lookup("/any")]
    assert [one and one[0].origins for one in found] == [wsframe.same_origin, wsframe.any_origin]


@pytest.mark.parametrize("path", ["/chat", "/{room}"])
def test_registering_a_path_again_replaces(registry: Registry, path: str) -> None:
    new = make()
    registry.register(path, make())
    registry.register(path, new)
    assert registry.find("/chat") is new
    assert len(registry) == 1


@pytest.mark.parametrize("path", ["/chat", "/rooms/{room}"])
def test_unregistering_tells_whether_there_was_something(registry: Registry, path: str) -> None:
    registry.register(path, make())
    assert registry.unregister(path) is True
    assert registry.unregister(path) is False
    assert len(registry) == 0
    assert registry.find("/rooms/a") is None


@pytest.mark.parametrize("path", ["chat", "/{room", "/{room}/{room}", "/a?b"])
def test_unregistering_what_cannot_be_registered_finds_nothing(registry: Registry, path: str) -> None:
    registry.register("/{room}", make())
    assert registry.unregister(path) is False
    assert len(registry) == 1


def test_one_resource_may_have_many_paths(registry: Registry) -> None:
    chat = make()
    for path in ("/a", "/b", "/rooms/{room}"):
        registry.register(path, chat)
    assert list(registry.table.resources()) == [chat] * 3
    assert registry.paths() == ["/a", "/b", "/rooms/{room}"]


async def test_watchers_are_told_of_every_change(registry: Registry) -> None:
    told: list[list[str]] = []

    def watcher() -> None:
        told.append(registry.paths())

    registry.watchers.add(watcher)
    registry.register("/a", make())
    registry.register("/{b}", make())
    registry.unregister("/a")
    registry.watchers.remove(watcher)
    registry.register("/c", make())
    assert told == [["/a"], ["/a", "/{b}"], ["/{b}"]]


def test_a_snapshot_is_what_was_and_can_be_compared(registry: Registry) -> None:
    registry.register("/a", make())
    registry.register_dispatcher(lambda request: None)
    before = registry.snapshot()
    assert registry.snapshot() == before
    registry.register("/{b}", make())
    assert registry.snapshot() != before
    registry.restore(before)
    assert registry.snapshot() == before
    assert registry.paths() == ["/a"]


@pytest.mark.parametrize("before", [True, False])
async def test_registration_a_watcher_refuses_is_undone(registry: Registry, before: bool) -> None:
    """Half a registration would make every later one fail too."""
    old, told = make(), []
    if before:
        registry.register("/a", old)
    new = make()

    def server() -> None:
        told.append(registry.find("/a"))
        if registry.find("/a") is new:
            raise RuntimeError("running in another server already")

    registry.watchers.add(lambda: told.append(registry.find("/a")))
    registry.watchers.add(server)
    with pytest.raises(RuntimeError, match="another server"):
        registry.register("/a", new)
    expected = old if before else None
    assert registry.find("/a") is expected
    assert told == [new, new, expected, expected], "each is told of the change and of its end"


@pytest.mark.usefixtures("clean_global_registry")
def test_global_functions_use_one_registry_for_the_process() -> None:
    chat = make()
    wsframe.register_global_resource("/global/chat", chat, wsframe.any_origin)
    assert wsframe.find_global_resource("/global/chat") is chat
    assert global_registry.find("/global/chat") is chat
    assert wsframe.unregister_global_resource("/global/chat") is True
    assert wsframe.unregister_global_resource("/global/chat") is False
    assert wsframe.find_global_resource("/global/chat") is None


@pytest.mark.usefixtures("clean_global_registry")
def test_global_registration_checks_as_any_other() -> None:
    with pytest.raises(TypeError):
        wsframe.register_global_resource("/x", cast("wsframe.Resource", wsframe.Resource))


class Named(wsframe.Resource):
    def __init__(self, name: str) -> None:
        self.name = name

    async def client_connected(self, client: wsframe.Client) -> None:
        client.send_text(self.name)


@pytest.mark.usefixtures("clean_global_registry")
async def test_servers_own_registry_wins_over_the_global_one(registry: Registry) -> None:
    wsframe.register_global_resource("/both", Named("global"))
    wsframe.register_global_resource("/global", Named("global only"))
    registry.register("/both", Named("own"))
    async with wsframe.open_server(registry, port=0) as server:
        async with connected(server, "/both") as peer:
            assert await peer.receive_text() == "own"
        async with connected(server, "/global") as peer:
            assert await peer.receive_text() == "global only"


@pytest.mark.usefixtures("clean_global_registry")
async def test_server_without_registry_serves_the_global_one() -> None:
    async with wsframe.open_server(port=0) as server:
        assert await status(server, "/global") == 404
        wsframe.register_global_resource("/global", Named("global"))
        async with connected(server, "/global") as peer:
            assert await peer.receive_text() == "global"


async def test_registering_from_another_thread_is_refused_while_serving(registry: Registry) -> None:
    await trio.to_thread.run_sync(registry.register, "/early", Named("early"))
    async with wsframe.open_server(registry, port=0) as server:
        for change in (
            lambda: registry.register("/early", Named("late")),
            lambda: registry.register_factory("/made", lambda request: None),
            lambda: registry.unregister("/early"),
        ):
            with pytest.raises(RuntimeError, match="thread"):
                await trio.to_thread.run_sync(change)
        assert registry.paths() == ["/early"]
        async with connected(server, "/early") as peer:
            assert await peer.receive_text() == "early"
