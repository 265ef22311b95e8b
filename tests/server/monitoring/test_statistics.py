"""The statistics of a running server."""

import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.wire import connected, frame, serving, text
from wsframe.connection.memory_budget import MESSAGE_COST
from wsframe.resources.routing.registry import Registry


class Apart(Recorder):
    ordering = "client"


class Flood(wsframe.Resource):
    """Sends more than the kernel takes of a peer that does not read."""

    limits = wsframe.Limits(max_outbox=64 * 1024 * 1024)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        for _ in range(int(message)):
            client.send_binary(bytes(1024 * 1024))


async def test_a_server_counts_messages_and_bytes_and_forgets_none_of_the_departed() -> None:
    room = Recorder()
    async with serving(room) as server:
        before = server.statistics()
        assert (before.messages_received, before.bytes_sent) == (0, 0)
        for _ in range(2):
            async with connected(server) as peer:
                await peer.send(text("ab"), text("cd"))
                await peer.finish()
        await room.journal.until("disconnected 1000", times=2)
        await wait_all_tasks_blocked()
        now = server.statistics()
        assert now.messages_received == 4
        assert now.bytes_sent == 2 * 4  # close frames
        assert now.bytes_received == 2 * (2 * 8 + 8)  # two of a header, a mask and two letters, and a close frame
        assert now.bytes_waiting == 0
        assert [(one.name, one.paths, one.clients, one.messages_received) for one in now.by_resource] == [
            ("Recorder", ("/",), 0, 4)
        ]


async def test_each_resource_is_told_apart_with_all_its_paths() -> None:
    room, apart = Recorder(), Apart()
    async with (
        serving({"/a": room, "/rooms/{name}": room, "/apart": apart}) as server,
        connected(server, "/apart") as peer,
    ):
        await peer.send(text("x"), frame(2, b"y"))
        await apart.journal.until("binary b'y'")
        await wait_all_tasks_blocked()
        first, second = server.statistics().by_resource
        assert first == ("Recorder", ("/a", "/rooms/{name}"), 0, 0, 0, 0.0)
        assert second[:5] == ("Apart", ("/apart",), 1, 2, 0)
        assert second.hook_seconds > 0


async def test_what_a_factory_made_is_told_apart_by_its_path() -> None:
    registry = Registry()
    registry.register_factory("/rooms/{room}", lambda request: Recorder())
    async with (
        wsframe.open_server(registry, port=0) as server,
        connected(server, "/rooms/a"),
        connected(server, "/rooms/b"),
    ):
        assert [one.paths for one in server.statistics().by_resource] == [("/rooms/a",), ("/rooms/b",)]


async def test_what_waits_for_a_slow_hook_is_told(autojump_clock: trio.testing.MockClock) -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        await peer.send(text("1"), text("2"))
        while server.statistics().messages_received < 3:  # noqa: ASYNC110
            await trio.sleep(0.1)
        now = server.statistics()
        assert now.by_resource[0].messages_waiting == 2
        assert now.bytes_waiting == 2 + 2 * MESSAGE_COST
        room.release.set()
        await room.journal.until("text 2")


async def test_messages_of_clients_served_apart_are_counted_after_they_have_gone() -> None:
    room = Apart()
    async with serving(room) as server:
        async with connected(server) as peer:
            await peer.send(text("x"))
            await peer.finish()
        await room.journal.until("disconnected 1000")
        await wait_all_tasks_blocked()
        assert server.statistics().by_resource[0].messages_received == 1


async def test_messages_of_a_resource_that_has_ended_stay_counted() -> None:
    registry, room = Registry(), Recorder()
    registry.register("/", room)
    async with wsframe.open_server(registry, port=0) as server:
        async with connected(server) as peer:
            await peer.send(text("x"))
            await peer.finish()
        await room.journal.until("disconnected 1000")
        registry.unregister("/")
        await wait_all_tasks_blocked()
        now = server.statistics()
        assert now.by_resource == ()
        assert now.messages_received == 1


async def test_the_slowest_clients_are_those_for_whom_most_waits() -> None:
    async with (
        serving(Flood()) as server,
        connected(server) as quick,
        connected(server) as slow,
        connected(server) as slowest,
    ):
        assert server.slowest_clients() == []
        await slow.send(text("20"))
        await slowest.send(text("40"))
        await quick.send(text("0"))
        while len(server.slowest_clients()) < 2:  # noqa: ASYNC110
            await trio.sleep(0.01)
        await wait_all_tasks_blocked()
        assert [client.port for client in server.slowest_clients()] == [slowest.port, slow.port]
        (first,) = server.slowest_clients(1)
        assert first.statistics().bytes_waiting > 20 * 1024 * 1024
        assert server.statistics().bytes_waiting > first.statistics().bytes_waiting
