"""Paths in any case and any spelling: registering, finding, and answering."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import wsframe
from tests.rooms import Room
from tests.wire import BOUND, connected, status
from wsframe import Registry, Request, Resource
from wsframe.testing import open_kit


@pytest.fixture
def registry() -> Registry:
    return Registry(alone=True)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("/café", "/caf%C3%A9"),
        ("/café", "/caf%c3%a9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/my room", "/my%20room"),
        ("/a|b", "/a|b"),
        ("/a|b", "/a%7Cb"),
        ("/100%", "/100%25"),
        ("/ü/{id}", "/%c3%bc/1"),
        ("/a//b", "/a//b"),
    ],
)
async def test_a_path_is_answered_in_each_spelling_it_has(registry: Registry, registered: str, asked: str) -> None:
    resource = Resource()
    registry.register(registered, resource)
    assert registry.find(registered) is resource
    assert registry.find(asked) is resource
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0) as server:
            assert server.find(registered) is resource
            async with connected(server, asked):
                pass
    assert registry.unregister(registered)
    assert len(registry) == 0


async def test_bytes_beyond_ascii_are_answered_as_if_they_were_quoted(registry: Registry) -> None:
    registry.register("/café", Resource())
    request = Request("/café".encode().decode("latin-1"), [])
    assert registry.table.answer(request) is not None
    assert request.path == "/cafÃ©", "hooks see the path as it was sent"


def test_two_spellings_are_one_path(registry: Registry) -> None:
    registry.register("/café", Resource())
    again = Resource()
    registry.register("/caf%c3%a9", again)
    assert registry.paths() == ["/caf%C3%A9"]
    assert registry.find("/café") is again


@pytest.mark.parametrize("path", ["/x/<room>", "/x/:room", "/x/*", "/a/../b", "chat", "/chat?x"])
def test_a_path_of_no_client_is_registered_nowhere(registry: Registry, path: str) -> None:
    with pytest.raises(ValueError, match="instead of"):
        registry.register(path, Resource())
    with pytest.raises(ValueError, match="instead of"):
        registry.register_factory(path, lambda request: Resource())
    with pytest.raises(ValueError, match="instead of"):
        wsframe.define_resource(path, registry=registry)
    assert len(registry) == 0


@pytest.mark.parametrize("path", ["/chat", "/CHAT", "/cHaT"])
def test_the_case_of_a_path_counts_unless_said_otherwise(registry: Registry, path: str) -> None:
    chat = Resource()
    registry.register("/Chat", chat)
    assert registry.find(path) is None
    registry.register("/Chat", chat, ignore_case=True)
    assert registry.find(path) is chat
    assert registry.paths() == ["/Chat"]
    assert registry.unregister(path)
    assert registry.find("/Chat") is None


def test_letters_beyond_ascii_have_a_case_too(registry: Registry) -> None:
    registry.register("/CAFÉ/{name}", Resource(), ignore_case=True)
    found = registry.table.lookup("/café/É")
    assert found is not None
    assert found[1] == {"name": "É"}


def test_what_parameters_match_keeps_its_case(registry: Registry) -> None:
    registry.register("/Rooms/{room}", Resource(), ignore_case=True)
    found = registry.table.lookup("/rOOMS/Kitchen")
    assert found is not None
    assert found[1] == {"room": "Kitchen"}
    with pytest.raises(ValueError, match="registered already"):
        registry.register("/rooms/{name}", Resource(), ignore_case=True)


def test_a_path_for_which_the_case_counts_wins(registry: Registry) -> None:
    loose, strict, room, kitchen = Resource(), Resource(), Resource(), Resource()
    registry.register("/chat", loose, ignore_case=True)
    registry.register("/CHAT", strict)
    registry.register("/rooms/{room}", room, ignore_case=True)
    registry.register("/ROOMS/{room}", kitchen)
    assert [registry.find(path) for path in ("/chat", "/Chat", "/CHAT")] == [loose, loose, strict]
    assert [registry.find(path) for path in ("/rooms/a", "/Rooms/a", "/ROOMS/a")] == [room, room, kitchen]
    assert len(registry) == 4


def test_registering_again_replaces_whatever_the_case_was_to_be(registry: Registry) -> None:
    first, second, third = Resource(), Resource(), Resource()
    registry.register("/chat", first)
    registry.register("/chat", second, ignore_case=True)
    assert [registry.find(path) for path in ("/chat", "/CHAT")] == [second, second]
    registry.register("/chat", third)
    assert [registry.find(path) for path in ("/chat", "/CHAT")] == [third, None]
    assert registry.paths() == ["/chat"]


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_ignore_case_is_true_or_false(registry: Registry, value: Any) -> None:
    with pytest.raises(TypeError, match="ignore_case is True or False"):
        registry.register("/chat", Resource(), ignore_case=value)


async def test_a_factory_makes_one_room_for_each_name_in_its_case(registry: Registry) -> None:
    made: list[Room] = []

    def make(request: Request) -> Room:
        made.append(Room(request.path))
        return made[-1]

    registry.register_factory("/Rooms/{room}", make, ignore_case=True)
    async with open_kit(registry) as kit:
        for path in ("/rooms/a", "/ROOMS/a", "/rooms/A"):
            await kit.connect(path)
        assert [room.path for room in made] == ["/rooms/a", "/rooms/A"]
        assert [len(room.clients) for room in made] == [2, 1]
        assert kit.server.find("/rOOms/a") is made[0]
        assert {path for one in kit.server.statistics().by_resource for path in one.paths} == {"/rooms/a", "/rooms/A"}


async def test_each_spelling_of_a_room_is_the_same_room(registry: Registry) -> None:
    made: list[Room] = []

    def make(request: Request) -> Room:
        made.append(Room(request.path))
        return made[-1]

    registry.register_factory("/rooms/{room}", make)
    async with open_kit(registry) as kit:
        await kit.connect("/rooms/caf%C3%A9")
        await kit.connect("/rooms/caf%c3%a9")
        assert len(made) == 1
        assert kit.server.find("/rooms/café") is made[0]


async def test_the_global_functions_take_it_too() -> None:
    chat = Resource()
    wsframe.register_global_resource("/Global", chat, ignore_case=True)
    wsframe.register_global_factory("/Made/{x}", lambda request: Resource(), ignore_case=True)
    try:
        assert wsframe.find_global_resource("/GLOBAL") is chat
        async with wsframe.open_server(port=0) as server, connected(server, "/mADE/1"):
            pass
    finally:
        assert wsframe.unregister_global_resource("/global")
        assert wsframe.unregister_global_resource("/Made/{x}")


@pytest.mark.parametrize(("options", "expected"), [({}, 101), ({"ignore_case": False}, 404)])
async def test_handlers_are_served_in_any_case_as_in_easy_websocket(options: dict[str, Any], expected: int) -> None:
    async def serve(task_status: trio.TaskStatus[wsframe.Server]) -> None:
        await wsframe.serve_handlers(path="/ws", port=0, task_status=task_status, **options)

    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:
            server: wsframe.Server = await nursery.start(serve)
            if expected == 101:
                async with connected(server, "/WS"):
                    pass
            else:
                assert await status(server, "/WS") == expected
            server.close()


async def test_functions_may_overlap_for_different_clients(registry: Registry) -> None:
    """Portal's own threads let them."""
    inside = trio.Event()

    async def message(client: wsframe.Client, message: str | bytes) -> None:
        if message == "wait":
            await inside.wait()
        inside.set()
        client.send(message)

    made = wsframe.define_resource("/x", message=message, ordering="client", registry=registry)
    assert made.ordering == "client"
    async with open_kit(registry) as kit:
        ann, bob = await kit.connect("/x"), await kit.connect("/x")
        ann.send_text("wait")
        bob.send_text("go")
        assert [await bob.receive(), await ann.receive()] == ["go", "wait"]
    with pytest.raises(TypeError, match=r"FunctionResource\.ordering must be one of resource, client, not 'none'"):
        wsframe.define_resource("/y", ordering="none", registry=registry)  # type: ignore[arg-type]
