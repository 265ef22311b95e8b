"""Numbers are counted together by the registered path, never by the path that a client asked for."""

import trio
import trio.lowlevel

import wsframe
from tests.recorder import Echo, Recorder
from tests.wire import close, connected, frame, head, serving, stream_to, text
from wsframe.hooks.path_counters import MOST_PATHS, CountersByPath
from wsframe.resources.routing.registry import Registry
from wsframe.resources.routing.routing_table import Registration
from wsframe.server.monitoring.metric_values import total


def messages(server: wsframe.Server, direction: str) -> dict[str, object]:
    """Return how many messages each path has, of those that have any."""
    counts = server.statistics().metrics["wsframe_messages_total"]
    return {path: count for (way, path), count in counts.items() if way == direction and count}


async def echo(server: wsframe.Server, path: str, *words: str) -> None:
    async with connected(server, path) as peer:
        for word in words:
            await peer.send(text(word))
            await peer.receive_text()
        await peer.finish()


async def test_messages_count_for_the_path_that_was_registered() -> None:
    both = Echo()
    async with serving({"/a": both, "/rooms/{room}": both, "/other": Echo()}) as server:
        await echo(server, "/rooms/x", "1")
        await echo(server, "/rooms/y", "1", "2")
        await echo(server, "/other", "1")
        assert messages(server, "in") == {"/a": 3, "/other": 1}
        assert messages(server, "out") == {"/a": 3, "/other": 1}


async def test_resources_of_a_factory_count_together() -> None:
    registry = Registry()
    registry.register_factory("/rooms/{room}", lambda request: Echo())
    async with wsframe.open_server(registry, port=0) as server:
        for room in "abc":
            await echo(server, f"/rooms/{room}", "1")
        assert messages(server, "in") == {"/rooms/{room}": 3}


async def test_a_resource_without_a_path_goes_by_its_class() -> None:
    registry = Registry()
    registry.register_dispatcher(lambda request: Echo())
    async with wsframe.open_server(registry, port=0) as server:
        for path in ("/a", "/b"):
            await echo(server, path, "1")
        assert messages(server, "in") == {"(Echo)": 2}


async def test_counts_do_not_fall_when_a_path_is_registered_again() -> None:
    registry = Registry()
    registry.register("/", Echo())
    async with wsframe.open_server(registry, port=0) as server:
        await echo(server, "/", "1", "2")
        registry.register("/", Echo())
        await echo(server, "/", "3")
        registry.unregister("/")
        assert messages(server, "in") == {"/": 3}


def test_paths_beyond_the_most_share_one_account_for_ever() -> None:
    counters, registry = CountersByPath(), Registry()
    resources = {f"/{at}": Recorder() for at in range(10_000)}
    for path, resource in resources.items():
        registry.table.put(path, registration(resource), ignore_case=False)
    counters.learn([registry.table])
    for resource in resources.values():
        counters.of(resource)
    assert len(counters.by_path) == MOST_PATHS + 1
    assert counters.of(resources["/7"]) is counters.by_path["/7"]
    assert counters.of(resources["/9999"]) is counters.of(resources["/500"]) is counters.by_path["other"]


def registration(resource: wsframe.Resource) -> Registration:
    return Registration(resource, wsframe.same_origin)


class Door(Echo):
    """Sends its clients on."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await super().received_text(client, message)
        if message == "go":
            client.move_to("/room")


async def test_messages_before_a_move_stay_with_the_old_path() -> None:
    async with serving({"/door": Door(), "/room": Echo()}) as server:
        async with connected(server, "/door") as peer:
            await peer.send(text("hello"), text("go"), text("in the room"))
            for _ in range(3):
                await peer.receive_text()
            assert messages(server, "out") == {"/door": 2, "/room": 1}
            assert total(server.statistics().metrics, "wsframe_messages_total", "in") == 3
            assert total(server.statistics().metrics, "wsframe_bytes_total", "out") == len("..hello..go..in the room")
            await peer.finish()
        while server.clients:
            await trio.lowlevel.checkpoint()
        assert messages(server, "out") == {"/door": 2, "/room": 1}


async def test_messages_decoded_after_the_peer_has_gone_are_counted() -> None:
    """The hooks hold up the reading: most bytes that were read are still to be decoded when the peer drops."""
    room = Recorder()
    async with serving(room, limits=wsframe.Limits(max_queued_messages=2)) as server:
        async with stream_to(server) as stream:
            await stream.send_all(head("/"))
            await stream.receive_some()
            await stream.send_all(text("hold") + b"".join(text(str(at)) for at in range(50)) + close())
            await room.journal.until("text hold")
        room.release.set()
        await room.journal.until("text 49")
        await room.journal.when(lambda notes: any(note.startswith("disconnected") for note in notes))
        while server.statistics().reserved:
            await trio.lowlevel.checkpoint()
        assert messages(server, "in") == {"/": 51}
        assert server.statistics().messages_received == 51


async def test_pings_are_no_messages() -> None:
    async with serving(Echo()) as server, connected(server) as peer:
        await peer.send(frame(9, b"ping"), text("1"))
        await peer.receive()
        await peer.receive_text()
        assert (messages(server, "in"), messages(server, "out")) == ({"/": 1}, {"/": 1})
