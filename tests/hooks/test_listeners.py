"""Which resource has a listener, and when: registering while serving, failures and their pauses."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.rooms import NO_SERVER
from tests.wire import close, connected, serving, status, text
from wsframe.connection.flusher import Flusher
from wsframe.hooks.listener import Listener, Surroundings
from wsframe.hooks.listeners import Roster
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.resources.routing.registry import Registry, global_registry
from wsframe.user_code.protected_nursery import ProtectedNursery


class Named(Recorder):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        client.send(self.name)


async def test_resource_registered_while_serving_is_served_at_once() -> None:
    registry = Registry()
    async with wsframe.open_server(registry, port=0) as server:
        assert await status(server, "/new") == 404
        registry.register("/new", Named("new"))
        async with connected(server, "/new") as peer:
            assert await peer.receive_text() == "new"
        assert server.statistics().resources == 1


async def test_unregistered_path_is_404_and_connected_clients_stay() -> None:
    registry, room = Registry(), Named("room")
    registry.register("/", room)
    async with wsframe.open_server(registry, port=0) as server, connected(server) as peer:
        assert await peer.receive_text() == "room"
        registry.unregister("/")
        assert await status(server) == 404
        await peer.send(text("still served"))
        await room.journal.until("text still served")
        await peer.finish()
        await room.journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 0
        assert room.post("ended") is False


async def test_replaced_resource_keeps_its_clients_and_newcomers_get_the_new_one() -> None:
    registry, old = Registry(), Named("old")
    registry.register("/", old)
    async with wsframe.open_server(registry, port=0) as server, connected(server) as early:
        assert await early.receive_text() == "old"
        registry.register("/", Named("new"))
        async with connected(server) as late:
            assert await late.receive_text() == "new"
            await early.send(text("hello"))
            await old.journal.until("text hello")
            await early.finish()
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1


async def test_resource_registered_again_while_it_ends_lives_on() -> None:
    registry, room = Registry(), Named("room")
    registry.register("/", room)
    async with wsframe.open_server(registry, port=0) as server:
        async with connected(server) as peer:
            assert await peer.receive_text() == "room"
            registry.unregister("/")
            registry.register("/again", room)
            await peer.finish()
        await room.journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        async with connected(server, "/again") as peer:
            assert await peer.receive_text() == "room"


async def test_one_resource_under_two_paths_is_one_life() -> None:
    room = Named("both")
    async with (
        serving({"/a": room, "/rooms/{name}": room}) as server,
        connected(server, "/a") as first,
        connected(server, "/rooms/b") as second,
    ):
        assert [await first.receive_text(), await second.receive_text()] == ["both", "both"]
        assert server.statistics().resources == 1
        assert [client.path for client in room.clients] == ["/a", "/rooms/b"]
        assert [dict(client.request.path_params) for client in room.clients] == [{}, {"name": "b"}]


async def test_resource_lives_while_one_of_its_paths_is_registered() -> None:
    registry, room = Registry(), Named("both")
    registry.register("/a", room)
    registry.register("/b", room)
    async with wsframe.open_server(registry, port=0) as server:
        registry.unregister("/a")
        await wait_all_tasks_blocked()
        assert await status(server, "/a") == 404
        async with connected(server, "/b") as peer:
            assert await peer.receive_text() == "both"


async def test_second_running_server_is_a_runtime_error() -> None:
    room = Named("room")
    async with serving(room) as server:
        with pytest.raises(RuntimeError, match=r"Named .* is running in another server already"):
            async with serving(room):
                raise AssertionError("served")
        async with connected(server) as peer:
            assert await peer.receive_text() == "room", "the first server goes on"


async def test_registering_with_a_second_running_server_harms_neither() -> None:
    first, second, room, other = Registry(), Registry(), Named("room"), Named("other")
    first.register("/", room)
    second.register("/other", other)
    async with wsframe.open_server(first, port=0) as one, wsframe.open_server(second, port=0) as two:
        with pytest.raises(RuntimeError, match="another server"):
            second.register("/", room)
        assert await status(two) == 404
        second.unregister("/other")
        second.register("/more", Named("more"))
        await wait_all_tasks_blocked()
        for server, path, name in ((one, "/", "room"), (two, "/more", "more")):
            async with connected(server, path) as peer:
                assert await peer.receive_text() == name


async def test_resource_may_be_served_by_another_server_afterwards() -> None:
    room = Named("room")
    for _ in range(2):
        async with serving(room) as server, connected(server) as peer:
            assert await peer.receive_text() == "room"


async def test_registry_forgets_the_server_that_has_ended() -> None:
    registry = Registry()
    async with wsframe.open_server(registry, port=0):
        pass
    room = Named("room")
    registry.register("/", room)
    assert room.post("x") is False


class Broken(wsframe.Resource):
    """Its ``running()`` fails as long as it is told to."""

    def __init__(self, *, broken: bool = True) -> None:
        self.broken = broken
        self.starts: list[float] = []

    def running(self) -> trio.CancelScope:  # type: ignore[override]
        self.starts.append(trio.current_time())
        if self.broken:
            raise OSError("no database")
        raise AssertionError("not used")


class Rig:
    """A roster with listeners but no server."""

    def __init__(self, registry: Registry, nursery: ProtectedNursery) -> None:
        self.refusals: list[tuple[int, bool]] = []
        around = Surroundings(server=NO_SERVER, limits=DEFAULT_LIMITS, timeouts=DEFAULT_TIMEOUTS, flusher=Flusher())
        self.roster = Roster([registry], partial(Listener, around=around), nursery)
        self.roster.watch()

    async def ask(self, resource: wsframe.Resource) -> bool:
        """Come as a newcomer; tell whether there is a listener."""
        try:
            listener = await self.roster.join_when_ready(resource, wsframe.Request("/", []))
        except wsframe.Reject as reject:
            self.refusals.append((reject.status, "Retry-After" in dict(reject.headers)))
            return False
        listener.leave()
        return True


async def test_pause_after_failures_doubles_from_one_second_to_thirty(autojump_clock: MockClock) -> None:
    registry, broken = Registry(), Broken()
    registry.register("/", broken)
    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        for _ in range(2000):
            assert not await rig.ask(broken)
            await trio.sleep(0.1)
        assert set(rig.refusals) == {(503, True)}
        rig.roster.retire_all()
    pauses = [later - earlier for earlier, later in zip(broken.starts, broken.starts[1:], strict=False)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30, 30, 30], abs=0.2)


async def test_failed_resource_is_not_tried_without_a_newcomer(autojump_clock: MockClock) -> None:
    registry, broken = Registry(), Broken()
    registry.register("/", broken)
    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        await trio.sleep(1000)
        registry.register("/other", wsframe.Resource())
        await trio.sleep(1000)
        assert len(broken.starts) == 1
        rig.roster.retire_all()


async def test_failure_is_forgotten_when_the_resource_is_registered_anew(autojump_clock: MockClock) -> None:
    registry, broken = Registry(), Broken()
    registry.register("/", broken)
    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        await wait_all_tasks_blocked()
        registry.unregister("/")
        registry.register("/", broken)
        await wait_all_tasks_blocked()
        assert len(broken.starts) == 2
        rig.roster.retire_all()


async def test_all_ready_raises_what_running_raised() -> None:
    registry = Registry()
    registry.register("/sound", wsframe.Resource())
    registry.register("/", Broken())
    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        with pytest.raises(OSError, match="no database"):
            await rig.roster.all_ready()
        rig.roster.retire_all()


async def test_newcomer_after_the_end_is_answered_503() -> None:
    registry, resource = Registry(), wsframe.Resource()
    registry.register("/", resource)
    async with ProtectedNursery() as nursery:
        rig = Rig(registry, nursery)
        assert await rig.ask(resource)
        rig.roster.retire_all()
        await wait_all_tasks_blocked()
        assert not await rig.ask(resource)
        assert len(rig.roster) == 0
        registry.register("/more", wsframe.Resource())
        assert len(rig.roster) == 0


async def test_max_clients_of_a_resource_counts_over_all_its_paths() -> None:
    class Small(Named):
        max_clients = 1

    room = Small("small")
    async with serving({"/a": room, "/b": room, "/other": Named("other")}) as server:
        async with connected(server, "/a") as peer:
            assert await peer.receive_text() == "small"
            assert await status(server, "/b") == 503
            async with connected(server, "/other") as other:
                assert await other.receive_text() == "other"
            await peer.send(close())
            await peer.end()
        await room.journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        async with connected(server, "/b") as peer:
            assert await peer.receive_text() == "small"


async def test_server_that_could_not_start_follows_no_registry() -> None:
    """Else the next registration anywhere in the process would raise out of a server long gone."""
    room = wsframe.Resource()
    mine, others = wsframe.Registry(), wsframe.Registry()
    mine.register("/", room)
    others.register("/", room)
    async with wsframe.open_server(mine, port=0):
        watchers = len(global_registry.watchers._tells)
        with pytest.raises(RuntimeError, match="running in another server"):
            await wsframe.serve(others, port=0)
        assert len(global_registry.watchers._tells) == watchers
        assert others.watchers._tells == []
