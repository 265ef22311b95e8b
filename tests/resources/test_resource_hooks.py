"""The hooks of a resource: the events for which wsframe calls them, the clients then, the cost of a failure."""

import logging

import pytest
import trio

import wsframe
from tests.recorder import Echo, Recorder
from tests.wire import BINARY, PING, PONG, TEXT, close, connected, frame, serving, text


async def test_each_event_has_its_hook() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("grüß"), frame(BINARY, b"\xff"), frame(PONG, b"p"))
        await room.journal.until("pong b'p'")
        room.post("posted")
        await room.journal.until("custom posted")
        await peer.send(close(4000))
        await room.journal.until("disconnected 4000")
    assert room.notes == [
        "connected", "text grüß", "binary b'\\xff'", "pong b'p'", "custom posted", "disconnected 4000",
    ]  # fmt: skip


async def test_fragments_come_as_one_message() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(frame(TEXT, "ü".encode()[:1], fin=False), frame(PING), frame(0, "ü".encode()[1:] + b"x"))
        await room.journal.until("text üx")


async def test_empty_messages_are_messages() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text(""), frame(BINARY))
        await room.journal.until("binary b''")
    assert room.notes[:3] == ["connected", "text ", "binary b''"]


async def test_pong_that_answers_the_users_ping_reaches_the_hook() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.only.ping(b"mine")
        ping = await peer.receive()
        assert ping is not None
        assert (ping.opcode, ping.payload) == (PING, b"mine")
        await peer.send(frame(PONG, ping.payload))
        await room.journal.until("pong b'mine'")


async def test_pong_that_answers_a_measurement_does_not() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer, trio.open_nursery() as nursery:
        await room.journal.until("connected")
        nursery.start_soon(room.only.measure_latency)
        ping = await peer.receive()
        assert ping is not None
        await peer.send(frame(PONG, ping.payload), frame(PONG, ping.payload))
        await room.journal.when(lambda notes: len(notes) > 1)
        assert room.notes == ["connected", f"pong {ping.payload!r}"], "the second one answers nothing"


async def test_pong_overtakes_no_message() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("1"), frame(PONG, b"2"), text("3"))
        await room.journal.until("text 3")
    assert room.notes[1:4] == ["text 1", "pong b'2'", "text 3"]


class Watching(Recorder):
    """Notes how many clients there are, and whether this one is among them."""

    def look(self, hook: str, client: wsframe.Client) -> None:
        self.journal.add(f"{hook} {len(self.clients)} {client in self.clients}")

    async def client_connected(self, client: wsframe.Client) -> None:
        self.look("connected", client)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.look(message, client)

    async def disconnected(self, client: wsframe.Client) -> None:
        self.look("disconnected", client)


async def test_client_is_among_the_clients_from_connected_to_before_disconnected() -> None:
    room = Watching()
    async with serving(room) as server:
        async with connected(server) as peer:
            await peer.send(text("message"))
            await room.journal.until("message 1 True")
        await room.journal.until("disconnected 0 False")
    assert room.notes[0] == "connected 1 True"
    assert len(room.clients) == 0


async def test_clients_are_in_order_of_arrival_and_iterating_takes_a_snapshot() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as first, connected(server) as second:
        await room.journal.until("connected", 2)
        assert [client.port for client in room.clients] == [first.port, second.port]
        seen = []
        for client in room.clients:
            seen.append(client)
            async with connected(server):
                await room.journal.until("connected", 2 + len(seen))
        assert [client.port for client in seen] == [first.port, second.port]
        assert repr(room.clients).startswith("<Clients ")


async def test_clients_is_one_live_view() -> None:
    room = Recorder()
    async with serving(room) as server:
        view = room.clients
        async with connected(server):
            await room.journal.until("connected")
            assert len(view) == len(room.clients) == 1


class Failing(Echo):
    """Raises in the hook whose name it is given."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        self.hook = hook

    def fail(self, hook: str) -> None:
        if hook == self.hook:
            raise ZeroDivisionError(hook)

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        client.send("welcome")
        self.fail("client_connected")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await super().received_text(client, message)
        self.fail("received_text")

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        await super().received_binary(client, message)
        self.fail("received_binary")

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        await super().received_pong(client, payload)
        self.fail("received_pong")

    async def disconnected(self, client: wsframe.Client) -> None:
        await super().disconnected(client)
        self.fail("disconnected")


PROVOKED = [
    ("client_connected", text("late")),
    ("received_text", text("x") + text("late")),
    ("received_binary", frame(BINARY, b"x") + text("late")),
    ("received_pong", frame(PONG, b"x") + text("late")),
]


@pytest.mark.parametrize(("hook", "data"), PROVOKED)
async def test_hook_that_raises_closes_1011_behind_the_replies(
    hook: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    room = Failing(hook)
    async with serving(room) as server, connected(server, trailing=data) as peer:
        assert await peer.receive_text() == "welcome"
        if hook in ("received_text", "received_binary"):
            reply = await peer.receive()
            assert reply is not None
            assert reply.payload == b"x"
        assert await peer.receive_close() == (1011, "internal error")
        await peer.send(close(1011))
        await room.journal.until("disconnected 1011")
    assert "text late" not in room.notes, "queued messages are dropped"
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert hook in record.getMessage()
    assert record.exc_info is not None


async def test_disconnected_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    room = Failing("disconnected")
    async with serving(room) as server, connected(server) as stays:
        assert await stays.receive_text() == "welcome"
        async with connected(server) as peer:
            assert await peer.receive_text() == "welcome"
            await peer.finish()
        await room.journal.until("disconnected 1000")
        await stays.send(text("still here"))
        assert await stays.receive_text() == "still here"
        assert server.statistics().reserved == 1
    assert [record for record in caplog.records if "disconnected of Failing" in record.getMessage()]


async def test_error_close_code_is_the_resources_own() -> None:
    class Custom(Failing):
        error_close_code = 4500

    async with serving(Custom("client_connected")) as server, connected(server) as peer:
        assert await peer.receive_text() == "welcome"
        assert await peer.receive_close() == (4500, "internal error")


class Deciding(Failing):
    """Decides by itself about failures."""

    async def hook_failed(self, error: BaseException, *, hook: str, client: wsframe.Client | None) -> None:
        self.journal.add(f"{type(error).__name__} in {hook} {client in self.clients}")
        if hook == "received_binary" and client is not None:
            client.close(4001, "your fault")
        if hook == "received_pong":
            raise KeyError("hook_failed fails too")

    async def received_custom(self, message: object) -> None:
        raise ValueError(message)


async def test_hook_failed_that_does_not_close_keeps_the_client() -> None:
    room = Deciding("received_text")
    async with serving(room) as server, connected(server, trailing=text("1") + text("2")) as peer:
        assert [await peer.receive_text() for _ in range(3)] == ["welcome", "1", "2"]
        await room.journal.until("ZeroDivisionError in received_text True", 2)
        await peer.finish()


async def test_hook_failed_may_close_as_it_likes() -> None:
    room = Deciding("received_binary")
    async with serving(room) as server, connected(server, trailing=frame(BINARY, b"x")) as peer:
        assert await peer.receive_text() == "welcome"
        assert await peer.receive() is not None
        assert await peer.receive_close() == (4001, "your fault")


async def test_hook_failed_that_raises_closes_1011(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(Deciding("received_pong")) as server,
        connected(server, trailing=frame(PONG, b"x")) as peer,
    ):
        assert await peer.receive_text() == "welcome"
        assert await peer.receive_close() == (1011, "internal error")
    assert [record for record in caplog.records if "hook_failed of Deciding failed" in record.getMessage()]


async def test_hook_failed_is_told_of_disconnected_and_of_received_custom() -> None:
    room = Deciding("disconnected")
    async with serving(room) as server:
        room.post("x")
        await room.journal.until("ValueError in received_custom False")
        async with connected(server):
            pass
        await room.journal.until("ZeroDivisionError in disconnected False")


async def test_failed_connected_still_gets_its_disconnected() -> None:
    room = Failing("client_connected")
    async with serving(room) as server, connected(server) as peer:
        await peer.send(close())
        await room.journal.when(lambda notes: notes[-1].startswith("disconnected"))
    assert len(room.notes) == 2


class Meeting(Recorder):
    """A hook that ends only when two clients are in it."""

    ordering = "client"

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[wsframe.Client] = []
        self.met = trio.Event()

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.journal.add(f"begin {message}")
        assert client not in self.inside, "two hooks of one client at once"
        self.inside.append(client)
        if len(self.inside) == 2:
            self.met.set()
        await self.met.wait()
        self.inside.remove(client)
        self.journal.add(f"end {message}")


async def test_ordering_client_lets_hooks_of_two_clients_overlap() -> None:
    room = Meeting()
    async with serving(room) as server, connected(server) as first, connected(server) as second:
        await first.send(text("a1"), text("a2"))
        await room.journal.until("begin a1")
        await second.send(text("b1"))
        await room.journal.until("end a2")
        await room.journal.until("end b1")
    serial = [note for note in room.notes if " a" in note]
    assert serial == ["begin a1", "end a1", "begin a2", "end a2"]


async def test_ordering_client_keeps_the_order_of_each_clients_life() -> None:
    class Each(Echo):
        ordering = "client"

    room = Each()
    async with serving(room) as server:
        for number in range(3):
            async with connected(server, trailing=b"".join(text(str(i)) for i in range(50))) as peer:
                assert [await peer.receive_text() for _ in range(50)] == [str(i) for i in range(50)]
                await peer.finish()
            await room.journal.until("disconnected 1000", number + 1)
    assert room.notes == ["connected", *(f"text {i}" for i in range(50)), "disconnected 1000"] * 3
