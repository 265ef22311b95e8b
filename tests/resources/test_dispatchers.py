"""Dispatchers, and the catch-all."""

from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.rooms import BOUND, Room, Rooms, opened, resources_gone
from tests.wire import connected, status
from wsframe import Registry, Request, Resource
from wsframe.resources.routing.registry import global_registry


def by_language(request: Request) -> Resource | None:
    language = request.headers.get("accept-language")
    return None if language is None else Room(language)


async def test_dispatchers_are_asked_in_order_for_what_no_path_matches() -> None:
    german, rest = Room("german"), Room("rest")
    registry = Registry()
    registry.register("*", rest)
    registry.register("/exact", Room("exact"))
    registry.register_dispatcher(lambda request: german if request.query_string == "de" else None)
    registry.register_dispatcher(by_language, wsframe.any_origin)
    french = {"Accept-Language": "fr", "Origin": "https://elsewhere.example"}
    expected: list[tuple[str, dict[str, str], str]] = [
        ("/exact?de", {}, "exact, 1 here"),
        ("/any?de", {"Accept-Language": "fr"}, "german, 1 here"),
        ("/any", french, "fr, 1 here"),
        ("/any", {}, "rest, 1 here"),
        ("/", {}, "rest, 1 here"),
    ]
    async with opened(registry) as server:
        for path, fields, answer in expected:
            async with connected(server, path, fields) as peer:
                assert await peer.receive_text() == answer
                await peer.finish()
            await wait_all_tasks_blocked()
        assert await status(server, "/any?de", french) == 403, "each dispatcher has its own origins"
        await resources_gone(server, 2)
        assert german.log == ["start german", "end german"], "not registered: it ends with its last client"
        assert rest.log == ["start rest"]


async def test_dispatched_resource_is_shared_and_starts_anew_after_its_end() -> None:
    hall = Room("hall")
    registry = Registry()
    registry.register_dispatcher(lambda request: hall)
    async with opened(registry) as server:
        async with connected(server, "/a") as first, connected(server, "/b") as second:
            assert [await first.receive_text(), await second.receive_text()] == ["hall, 1 here", "hall, 2 here"]
            hall.leaving = trio.Event()
            await first.finish()
            await second.finish()
        await hall.journal.until("disconnected 1000", 2)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:

            async def come() -> None:
                async with connected(server, "/c") as third:
                    assert await third.receive_text() == "hall, 1 here"

            nursery.start_soon(come)
            await trio.sleep(0.05)
            assert hall.log == ["start hall"], "the newcomer waits for the end of the life before"
            hall.leaving.set()
    assert hall.log == ["start hall", "end hall"] * 2


async def test_registered_resource_that_is_dispatched_stays() -> None:
    hall = Room("hall")
    registry = Registry()
    registry.register("/hall", hall)
    registry.register_dispatcher(lambda request: hall)
    async with opened(registry) as server:
        async with connected(server, "/a") as peer:
            await peer.receive_text()
            await peer.finish()
        await hall.journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        assert hall.log == ["start hall"]


async def test_failing_dispatcher_is_500_and_harms_no_path(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()

    def fails(request: Request) -> Resource | None:
        raise KeyError(request.path)

    registry.register_dispatcher(fails)
    registry.register("/sound", Room("sound"))
    async with opened(registry) as server:
        assert await status(server, "/a") == 500
        assert "the factory or dispatcher failed for <Request GET '/a'" in caplog.text
        async with connected(server, "/sound") as peer:
            assert await peer.receive_text() == "sound, 1 here"
        assert registry.unregister_dispatcher(fails) is True
        assert registry.unregister_dispatcher(fails) is False
        assert await status(server, "/a") == 404


def test_dispatchers_count_as_registered() -> None:
    registry = Registry()
    registry.register_dispatcher(by_language)
    assert (len(registry), repr(registry), registry.paths()) == (1, "<Registry dispatchers>", [])


@pytest.fixture
def clean_global_registry() -> Iterator[None]:
    yield
    for path in global_registry.paths():
        global_registry.unregister(path)
    global_registry.unregister_dispatcher(by_language)


@pytest.mark.usefixtures("clean_global_registry")
async def test_global_functions_use_the_global_registry(rooms: Rooms) -> None:
    wsframe.register_global_factory("/rooms/{room}", rooms.make, wsframe.any_origin, max_resources=1, linger=0)
    wsframe.register_global_dispatcher(by_language, wsframe.any_origin)
    elsewhere = {"Origin": "https://elsewhere.example", "Accept-Language": "fr"}
    with trio.fail_after(BOUND):
        async with wsframe.open_server(port=0) as server:
            async with connected(server, "/rooms/a", elsewhere) as peer:
                assert await peer.receive_text() == "/rooms/a, 1 here"
                assert await status(server, "/rooms/b") == 503
            async with connected(server, "/x", elsewhere) as peer:
                assert await peer.receive_text() == "fr, 1 here"
    assert wsframe.unregister_global_dispatcher(by_language) is True
    assert wsframe.unregister_global_dispatcher(by_language) is False


# The catch-all


async def test_star_answers_whatever_nothing_else_does() -> None:
    registry = Registry()
    rest = Room("rest")
    registry.register("*", rest)
    registry.register("/rooms/{room}", Room("room"))
    assert registry.find("/rooms/a") is not rest
    assert registry.find("/anything/at/all") is rest
    assert registry.paths() == ["*", "/rooms/{room}"]
    async with opened(registry) as server:
        for path, answer in (("/", "rest"), ("/rooms/a", "room"), ("/x/y/z", "rest"), ("/rooms/", "rest")):
            async with connected(server, path) as peer:
                assert await peer.receive_text() == f"{answer}, 1 here"
                await peer.finish()
            await wait_all_tasks_blocked()
        assert server.find("/elsewhere") is rest
        registry.unregister("*")
        assert await status(server, "/") == 404
        assert server.find("/elsewhere") is None


async def test_factory_may_be_the_catch_all(rooms: Rooms) -> None:
    registry = Registry()
    registry.register_factory("*", rooms.make)
    async with opened(registry) as server, connected(server, "/x/y") as peer:
        assert await peer.receive_text() == "/x/y, 1 here"
        assert server.find("/x/y") is rooms.made[0]
        assert server.find("/x") is None
