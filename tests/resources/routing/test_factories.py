"""Resources that factories make: on first use, shared, ended when empty, bounded."""

import gc
import logging
from typing import cast
from weakref import WeakSet

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.local_server import local_server_of
from tests.recorder import Recorder
from tests.rooms import BOUND, Rig, Room, Rooms, opened, resources_gone
from tests.wire import Peer, connected, head, serving, status, stream_to, text
from wsframe import Registry, Reject, Request, Resource
from wsframe.user_code.protected_nursery import ProtectedNursery


async def test_resource_is_made_for_the_first_client_and_ends_with_the_last(registry: Registry, rooms: Rooms) -> None:
    async with opened(registry) as server:
        assert server.statistics().resources == 0
        assert server.find("/rooms/a") is None
        async with connected(server, "/rooms/a") as first, connected(server, "/rooms/a") as second:
            assert [await first.receive_text(), await second.receive_text()] == ["/rooms/a, 1 here", "/rooms/a, 2 here"]
            assert server.statistics().resources == 1
            assert server.find("/rooms/a") is rooms.made[0]
            await first.finish()
            await rooms.made[0].journal.until("disconnected 1000")
            await wait_all_tasks_blocked()
            assert rooms.log == ["start /rooms/a"], "one is there still"
            await second.finish()
        await resources_gone(server)
        assert server.find("/rooms/a") is None
        assert rooms.log == ["start /rooms/a", "end /rooms/a"]
        async with connected(server, "/rooms/a") as peer:
            assert await peer.receive_text() == "/rooms/a, 1 here"
        assert len(rooms.made) == 2


async def test_key_is_the_path_as_it_came(registry: Registry, rooms: Rooms) -> None:
    async with opened(registry) as server:
        for path in ("/rooms/a?x=1", "/rooms/%61", "/rooms/A"):
            async with connected(server, path) as peer:
                await peer.receive_text()
                assert len(server.find(path.partition("?")[0]).clients) == 1  # type: ignore[union-attr]
                await peer.finish()
    assert [room.path for room in rooms.made] == ["/rooms/a", "/rooms/%61", "/rooms/A"]


async def test_newcomers_at_the_same_time_share_one_resource(registry: Registry, rooms: Rooms) -> None:
    async def come() -> None:
        async with connected(server, "/rooms/a") as peer:
            await peer.receive_text()
            everybody.set() if len(rooms.made[0].clients) == 20 else await everybody.wait()

    everybody = trio.Event()
    async with opened(registry) as server, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(come)
    assert len(rooms.made) == 1


async def test_newcomer_while_the_old_one_ends_gets_a_new_one_that_starts_after_it(
    registry: Registry, rooms: Rooms
) -> None:
    async def come() -> None:
        async with connected(server, "/rooms/a") as peer:
            assert await peer.receive_text() == "/rooms/a, 1 here"

    async with opened(registry) as server, trio.open_nursery() as nursery:
        async with connected(server, "/rooms/a") as peer:
            await peer.receive_text()
            rooms.made[0].leaving = trio.Event()
            await peer.finish()
        await rooms.made[0].journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        nursery.start_soon(come)
        while len(rooms.made) < 2:  # noqa: ASYNC110
            await trio.sleep(0.005)
        await wait_all_tasks_blocked()
        assert rooms.log == ["start /rooms/a"], "two that share a database must not run at once"
        rooms.made[0].leaving.set()
    assert rooms.log == ["start /rooms/a", "end /rooms/a", "start /rooms/a", "end /rooms/a"]


@pytest.mark.parametrize(("name", "expected"), [("none", 404), ("rejected", 410), ("broken", 500), ("wrong", 500)])
async def test_what_a_factory_does_not_make_is_refused(
    registry: Registry, name: str, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(registry) as server:
        assert await status(server, f"/rooms/{name}") == expected
        assert server.statistics().resources == 0
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == (expected == 500)
    assert all("the factory or dispatcher" in line for line in errors)


async def test_refused_newcomer_keeps_no_resource_alive(rooms: Rooms) -> None:
    class Closed(Room):
        async def accept_client(self, request: Request) -> Reject:
            return Reject(401)

    log: list[str] = []
    registry = Registry()
    registry.register_factory("/{room}", lambda request: Closed(request.path, log))
    registry.register_factory("/own/{room}", rooms.make, wsframe.origin_exact("https://own.example"))
    async with opened(registry) as server:
        assert await status(server, "/a") == 401
        await resources_gone(server)
        assert log == ["start /a", "end /a"]
        assert await status(server, "/own/a", {"Origin": "https://other.example"}) == 403
        assert rooms.made == [], "a stranger's page makes nothing"


async def test_newcomer_who_goes_during_accept_client_keeps_no_resource_alive(patient_clock: MockClock) -> None:
    class Slow(Room):
        async def accept_client(self, request: Request) -> None:
            await trio.sleep_forever()

    log: list[str] = []
    registry = Registry()
    registry.register_factory("/{room}", lambda request: Slow(request.path, log))
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0) as server:
            assert await status(server, "/a") == 408
            await resources_gone(server)
    assert log == ["start /a", "end /a"]


async def test_factory_has_its_most_resources_and_more_is_503(rooms: Rooms) -> None:
    registry = Registry()
    registry.register_factory("/{room}", rooms.make, max_resources=2)
    async with opened(registry) as server, connected(server, "/a") as first, connected(server, "/b"):
        assert await status(server, "/c") == 503
        async with connected(server, "/a") as another:
            assert await another.receive_text() == "/a, 2 here"
            await another.finish()
        await first.receive_text()
        await first.finish()
        await resources_gone(server, 1)
        async with connected(server, "/c") as third:
            assert await third.receive_text() == "/c, 1 here"


async def test_what_ends_counts_until_it_has_ended(rooms: Rooms) -> None:
    registry = Registry()
    registry.register_factory("/{room}", rooms.make, max_resources=1)
    async with opened(registry) as server:
        async with connected(server, "/a") as peer:
            await peer.receive_text()
            rooms.made[0].leaving = trio.Event()
            await peer.finish()
        await rooms.made[0].journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        assert await status(server, "/b") == 503
        rooms.made[0].leaving.set()
        await resources_gone(server)
        async with connected(server, "/b") as peer:
            assert await peer.receive_text() == "/b, 1 here"


async def test_flood_of_names_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    alive: WeakSet[Resource] = WeakSet()
    most = 0

    def make(request: Request) -> Resource:
        nonlocal most
        room = Recorder()
        alive.add(room)
        most = max(most, server.statistics().resources + 1)
        return room

    registry, limiter = Registry(), trio.CapacityLimiter(20)
    registry.register_factory("/{room}", make, max_resources=5)
    async with opened(registry) as server:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(come_and_go, server, f"/{number}", limiter)
        await resources_gone(server)
        await wait_all_tasks_blocked()
        roster = local_server_of(server).roster
        assert (roster.made._lives, roster.made.makers, roster._living, roster._failures) == ({}, {}, {}, {})
    assert 1 <= most <= 5
    gc.collect()
    assert len(alive) == 0


async def come_and_go(server: wsframe.Server, path: str, limiter: trio.CapacityLimiter) -> None:
    """Connect and reset at once, or be refused."""
    async with limiter, stream_to(server) as stream:
        await stream.send_all(head(path))
        assert (await stream.receive_some()).split(b" ", 2)[1] in (b"101", b"503")
        Peer(stream).reset()


async def test_failing_resource_is_made_anew_for_each_newcomer_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made: list[str] = []

    class Broken(Resource):
        def running(self) -> trio.CancelScope:  # type: ignore[override]
            raise OSError("no such room")

    def make(request: Request) -> Resource:
        made.append(request.path)
        return Broken() if request.path == "/broken" else Room(request.path)

    registry = Registry()
    registry.register_factory("/{room}", make)
    async with opened(registry) as server, connected(server, "/sound") as peer:
        for _ in range(2):
            assert await status(server, "/broken") == 503
        await peer.send(text("x"))
        assert await peer.receive_text() == "/sound, 1 here"
        await resources_gone(server, 1)
        assert local_server_of(server).roster._failures == {}
    assert made == ["/sound", "/broken", "/broken"]


@pytest.mark.parametrize("linger", [0, 10])
async def test_lives_of_one_place_may_be_cut_off_in_any_order(rooms: Rooms, linger: float) -> None:
    """Cut off, the one that waits to begin is over before the one it waits for."""
    registry = Registry()
    registry.register_factory("/{room}", rooms.make, linger=linger)

    async def let_go() -> None:
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            rooms.made[0].leaving.set()

    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        former = await rig.get_in("/a")
        rooms.made[0].leaving = trio.Event()
        former.dismiss()
        former.leave()
        nursery.start_soon(rig.come, "/a")
        await wait_all_tasks_blocked()
        assert [listener.ready.happened for listener in rig.roster.listeners()] == [True, False]
        nursery.cancel()
        nursery.start_soon(let_go)
    assert rig.roster.listeners() == ()


async def test_lingering_resource_stays_for_so_long_after_its_last_client(
    rooms: Rooms, autojump_clock: MockClock
) -> None:
    registry = Registry()
    registry.register_factory("/{room}", rooms.make, linger=10)
    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        listener = await rig.get_in("/a")
        await trio.sleep(100)
        listener.leave()
        await trio.sleep(9)
        registry.register("/other", Resource())  # another change of the registry does not end it
        (await rig.get_in("/a")).leave()
        await trio.sleep(5)
        (await rig.come("/a")).leave()  # not let in, and so no reason to stay longer
        await trio.sleep(4)
        assert (len(rooms.made), rooms.log) == (1, ["start /a"])
        await trio.sleep(2)
        assert rooms.log == ["start /a", "end /a"]
        (await rig.get_in("/b")).leave()
        registry.unregister("/{room}")
        await wait_all_tasks_blocked()
        assert rooms.log[2:] == ["start /b", "end /b"], "nobody can come any more"
        registry.register_factory("/{room}", rooms.make, linger=1e6)
        (await rig.get_in("/c")).leave()
        before = trio.current_time()
        rig.roster.retire_all()
    assert trio.current_time() == before, "a server that stops does not wait for it"


async def test_resource_that_let_nobody_in_does_not_linger() -> None:
    """Else strangers would take all the places of a factory with requests that are refused."""

    class Private(Resource):
        async def accept_client(self, request: Request) -> Reject:
            return Reject(403)

    registry = Registry()
    registry.register_factory("/{room}", lambda request: Private(), max_resources=1, linger=1e6)
    async with opened(registry) as server:
        for room in ("a", "b", "c"):
            assert await status(server, f"/{room}") == 403
            await resources_gone(server)


async def test_unregistered_factory_makes_no_more_and_its_clients_stay(registry: Registry, rooms: Rooms) -> None:
    async with opened(registry) as server, connected(server, "/rooms/a") as peer:
        await peer.receive_text()
        assert registry.unregister("/rooms/{room}")
        assert await status(server, "/rooms/a") == 404
        await peer.send(text("still served"))
        await rooms.made[0].journal.until("text still served")
        await peer.finish()
        await resources_gone(server)


async def test_each_server_has_its_own(registry: Registry, rooms: Rooms) -> None:
    async with (
        opened(registry) as one,
        opened(registry) as two,
        connected(one, "/rooms/a") as first,
        connected(two, "/rooms/a") as second,
    ):
        assert await first.receive_text() == await second.receive_text() == "/rooms/a, 1 here"
        assert one.find("/rooms/a") is not two.find("/rooms/a")


async def test_factory_may_return_what_runs_already() -> None:
    shared = Room("shared")
    registry = Registry()
    registry.register("/shared", shared)
    registry.register_factory("/{room}", lambda request: shared)
    async with opened(registry) as server:
        async with connected(server, "/a") as peer:
            assert await peer.receive_text() == "shared, 1 here"
            await peer.finish()
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1, "it is registered, so it stays"
        assert local_server_of(server).roster.made._lives == {}


async def test_resource_of_another_server_is_500(caplog: pytest.LogCaptureFixture) -> None:
    shared = Room("shared")
    registry = Registry()
    registry.register_factory("/{room}", lambda request: shared)
    async with serving(shared), opened(registry) as server:
        assert await status(server, "/a") == 500
    assert "running in another server" in caplog.text


def test_factories_are_registered_like_resources(registry: Registry, rooms: Rooms) -> None:
    assert (len(registry), repr(registry), registry.paths()) == (1, "<Registry /rooms/{room}>", ["/rooms/{room}"])
    assert registry.find("/rooms/a") is None
    assert list(registry.table.resources()) == []
    lobby = Resource()
    registry.register("/rooms/lobby", lobby)
    assert registry.find("/rooms/lobby") is lobby
    assert registry.unregister("/rooms/{room}") is True


@pytest.mark.parametrize("factory", [None, "make", 3])
def test_factory_that_cannot_be_called_is_a_type_error(factory: object) -> None:
    registry = Registry()
    with pytest.raises(TypeError, match="plain function"):
        registry.register_factory("/{room}", cast("wsframe.Dispatcher", factory))
    with pytest.raises(TypeError, match="plain function"):
        registry.register_dispatcher(cast("wsframe.Dispatcher", factory))
    assert len(registry) == 0


def test_coroutine_function_is_a_type_error() -> None:
    async def make(request: Request) -> Resource:
        return Resource()

    with pytest.raises(TypeError, match="plain function"):
        Registry().register_factory("/{room}", cast("wsframe.Dispatcher", make))


def test_options_of_a_factory_are_checked(rooms: Rooms) -> None:
    registry = Registry()
    with pytest.raises(ValueError, match="max_resources"):
        registry.register_factory("/{room}", rooms.make, max_resources=0)
    for linger in (-1, float("nan")):
        with pytest.raises(ValueError, match="linger"):
            registry.register_factory("/{room}", rooms.make, linger=linger)
    for register in (
        registry.register_factory,
        lambda path, make, origins: registry.register_dispatcher(make, origins),
    ):
        with pytest.raises(TypeError, match="origins"):
            register("/{room}", rooms.make, cast("wsframe.OriginValidator", "https://x"))
    with pytest.raises(ValueError, match="begins with"):
        registry.register_factory("rooms", rooms.make)
    assert len(registry) == 0
