"""Faults of the libraries that wsframe learned from do not happen here.

``docs/reference/feature-rows.rst`` names each of these weaknesses, and the other tests of them.
"""

import trio
from trio.testing import MockClock

import wsframe
from tests.recorder import Echo, Recorder
from tests.wire import (
    BINARY,
    BOUND,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    ask,
    close,
    connected,
    frame,
    head,
    serving,
    status,
    stream_to,
    text,
    until,
)
from wsframe import Capacity, Client, Registry, State


async def test_a_message_never_has_the_kind_of_the_one_before() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(
            text("a"), frame(BINARY, b"b"),
            frame(TEXT, b"c", fin=False), frame(CONTINUATION, b"c"),
            frame(BINARY, b"d", fin=False), frame(CONTINUATION, b"d"), text("e"),
        )  # fmt: skip
        await room.journal.until("text e")
    assert room.notes[1:6] == ["text a", "binary b'b'", "text cc", "binary b'dd'", "text e"]


async def test_pings_and_stray_pongs_are_no_messages_and_end_nothing() -> None:
    room = Echo()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(frame(PING, b"1"), frame(PONG, b"stray"), frame(PING), text("x"))
        frames = [await peer.receive() for _ in range(3)]
        assert frames[:2] == [Frame(PONG, b"1"), Frame(PONG, b"")]
        assert frames[2] == Frame(TEXT, b"x")


async def test_a_ping_of_125_bytes_comes_back_whole() -> None:
    async with serving(Echo()) as server, connected(server) as peer:
        await peer.send(frame(PING, b"p" * 125))
        assert await peer.receive() == Frame(PONG, b"p" * 125)


async def test_a_header_field_needs_no_space_behind_its_colon() -> None:
    request = head("/", {"X-Empty": ""}).replace(b": ", b":")
    room = Recorder()
    async with serving(room) as server, stream_to(server) as stream:
        await stream.send_all(request + text("hello"))
        await room.journal.until("text hello")
        assert room.only.request.headers["x-empty"] == ""


async def test_idle_connections_before_the_101_take_no_places_of_clients() -> None:
    async with serving(Echo(), capacity=Capacity(max_clients=1)) as server, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask, server, b"GET / HTTP/1.1\r\n")
        await until(lambda: server.statistics().pending_handshakes == 10)
        async with connected(server) as peer:
            await peer.send(text("in"))
            assert await peer.receive_text() == "in"
            assert await status(server) == 503
        nursery.cancel_scope.cancel()


class Closing(Recorder):
    """Closes each client in its first hook, and notes the state before and after."""

    async def client_connected(self, client: Client) -> None:
        self.journal.add(str(client.state))
        client.send_text("goodbye")
        assert client.close(4000, "at once")
        self.journal.add(str(client.state))


async def test_a_client_may_be_closed_in_its_first_hook_and_is_closed_once() -> None:
    room = Closing()
    async with serving(room) as server, connected(server) as peer:
        assert await peer.receive_text() == "goodbye"
        assert await peer.receive_close() == (4000, "at once")
        await peer.send(close(4000))
        assert await peer.rest.frames() == []
        await room.journal.until("disconnected 4000")
    assert room.notes == [str(State.OPEN), str(State.CLOSING), "disconnected 4000"]


async def test_a_flash_policy_request_gets_no_policy(patient_clock: MockClock) -> None:
    async with serving(Echo()) as server:
        alone = await ask(server, b"<policy-file-request/>\0")
        as_a_head = await ask(server, b"<policy-file-request/>\0\r\n\r\n")
    assert (alone.split(b" ")[1], as_a_head.split(b" ")[1]) == (b"408", b"400")


async def test_a_path_that_is_not_registered_is_404_whatever_its_escapes() -> None:
    async with serving({"/chat": Echo()}) as server:
        assert [await status(server, path) for path in ("/chat/", "/Chat", "/%63hat", "/")] == [404] * 4


async def test_closing_a_server_twice_is_once() -> None:
    async with serving(Echo()) as server, connected(server) as peer:
        server.close(1012)
        server.close(1001)
        assert await peer.receive_close() == (1012, "server stopping")
        await peer.send(close(1012))
        await peer.stream.send_eof()
        await server.closed()
        server.close()


async def test_clients_of_all_resources_can_be_listed() -> None:
    registry = Registry()
    one, other = Recorder(), Recorder()
    registry.register("/one", one)
    registry.register("/also/one", one)
    registry.register("/gone", other)
    registry.register_factory("/made/{name}", lambda request: Recorder())
    with trio.fail_after(BOUND):
        async with (
            wsframe.open_server(registry, port=0) as server,
            connected(server, "/one"),
            connected(server, "/also/one"),
            connected(server, "/gone"),
            connected(server, "/made/here"),
        ):
            registry.unregister("/gone")
            await until(lambda: len(server.list_clients()) == 4)
            assert sorted(client.path for client in server.list_clients()) == [
                "/also/one",
                "/gone",
                "/made/here",
                "/one",
            ]
            assert server.clients == 4
            assert set(one.clients) | set(other.clients) < set(server.list_clients())


def tasks_below(task: trio.lowlevel.Task) -> list[str]:
    names = [task.name]
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            names += tasks_below(child)
    return names


async def test_tasks_of_the_server_have_names() -> None:
    async with serving(Echo()):
        root = trio.lowlevel.current_root_task()
        assert root is not None
        names = tasks_below(root)
        assert "wsframe server" in names
        assert "listener of Echo" in names


class Slow(Echo):
    """Its hooks for binary messages wait until they are released."""

    async def received_binary(self, client: Client, message: bytes) -> None:
        await self.release.wait()


async def test_a_hook_that_waits_holds_up_its_resource_alone() -> None:
    slow, quick = Slow(), Echo()
    async with (
        serving({"/slow": slow, "/quick": quick}) as server,
        connected(server, "/slow") as waiting,
        connected(server, "/slow") as behind,
        connected(server, "/quick") as elsewhere,
    ):
        await slow.journal.until("connected", 2)
        await waiting.send(frame(BINARY, b"x"), frame(PING))
        assert await waiting.receive() == Frame(PONG, b"")
        await behind.send(text("held up"), frame(PING))
        assert await behind.receive() == Frame(PONG, b"")
        await elsewhere.send(text("not held up"))
        assert await elsewhere.receive_text() == "not held up"
        assert "text held up" not in slow.notes
        slow.release.set()
        assert await behind.receive_text() == "held up"


async def test_what_ends_a_connection_reaches_its_peer_before_tcp_ends() -> None:
    """After all earlier messages, however much that is; TCP ends in order and not by a reset."""

    class Talking(Recorder):
        async def client_connected(self, client: Client) -> None:
            client.send_binary(bytes(500_000))

    async with serving(Talking()) as server, connected(server) as peer:
        await peer.send(frame(3, b"no such opcode"))
        frames = await peer.rest.frames()
    assert [len(one.payload) for one in frames[:-1]] == [500_000]
    assert (frames[-1].opcode, frames[-1].payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
