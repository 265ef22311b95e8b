"""No value that user code sets makes wsframe send anything that the protocol forbids."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.user_code.breaking import Echo, around, check_well
from tests.wire import upgrade
from wsframe import Client, Reject, Resource
from wsframe.limits import Overflow
from wsframe.protocol.close import State, close_frame
from wsframe.testing import ClientClosed, open_kit


@pytest.mark.parametrize("code", [1005, 1006, 1015])
def test_a_code_that_names_an_end_is_in_no_frame(code: int) -> None:
    with pytest.raises(ValueError, match="never sent"):
        close_frame(code)


@pytest.mark.parametrize("code", [1006, 1005, 1015, 999, 5000, "1011", None, 1011.0])
async def test_a_close_code_set_late_that_may_not_be_sent_is_1011(autojump_clock: MockClock, code: object) -> None:
    class Late(Echo):
        async def received_text(self, client: Client, message: str) -> None:
            self.error_close_code = code  # type: ignore[assignment,misc]
            raise ValueError

    async with open_kit(around(Late()), "/x") as kit:
        client = await kit.connect("/x")
        client.send_text("go")
        assert (await client.closed()).code == 1011
        await check_well(kit)


@pytest.mark.parametrize("error", [ValueError, Reject, OSError])
async def test_nothing_but_frames_follows_a_101(autojump_clock: MockClock, error: type[Exception]) -> None:
    class Turning(Echo):
        broken = False

        @property
        def overflow(self) -> Overflow:  # type: ignore[override]
            if self.broken:  # asked for behind the 101
                raise error
            return "disconnect"

    room = Turning()
    async with open_kit(around(room), "/x") as kit:
        room.broken = True
        line = kit.dial()
        line.send_bytes(upgrade("/x"))
        received = b""
        try:
            while data := await line.receive_bytes():
                received += data
        except (OSError, ClientClosed):
            pass
        assert received.startswith(b"HTTP/1.1 101 ")
        assert received.endswith(b"\r\n\r\n")
        assert received.count(b"HTTP/1.1") == 1
        await trio.testing.wait_all_tasks_blocked()
        assert (kit.server.clients, kit.server.statistics().reserved) == (0, 0)
        await check_well(kit)


async def test_a_reject_in_client_connected_refuses_the_client(autojump_clock: MockClock) -> None:
    class Full(Echo):
        departed: list[tuple[int | None, bool]]

        async def client_connected(self, client: Client) -> None:
            client.send_text("dropped")
            raise Reject(401, body="log in first")

        async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
            raise AssertionError(error)

        async def disconnected(self, client: Client) -> None:
            self.departed.append((client.close_code, client.rejected))

    room = Full()
    room.departed = []
    async with open_kit(around(room), "/x") as kit:
        client = await kit.connect("/x")
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1008, "log in first")
        assert client.received() == []
        await trio.testing.wait_all_tasks_blocked()
    assert room.departed == [(1008, True)]


class Leaving(Resource):
    """Ends its clients as their query says, and notes how they look in ``disconnected``."""

    def __init__(self) -> None:
        self.departed: dict[str | None, tuple[State, bool, bool]] = {}

    async def client_connected(self, client: Client) -> None:
        match client.request.query_string:
            case "close":
                client.close()
            case "reject":
                client.reject()
            case "abort":
                client.abort()
            case "raise":
                raise ValueError

    async def disconnected(self, client: Client) -> None:
        self.departed[client.request.query_string] = client.state, client.send_text("x"), client.rejected


@pytest.mark.parametrize("way", ["close", "reject", "abort", "raise", "peer", "eof", "reset", "violation"])
async def test_a_client_is_closed_in_disconnected_however_it_ended(autojump_clock: MockClock, way: str) -> None:
    room = Leaving()
    async with open_kit(room) as kit:
        client = await kit.connect(f"/?{way}")
        match way:
            case "peer":
                client.close()
            case "eof":
                client.hang_up()
            case "reset":
                client.reset()
            case "violation":
                client.send_frame(3)
        await trio.sleep(20)
        assert room.departed == {way: (State.CLOSED, False, way in ("reject", "raise"))}


@pytest.mark.parametrize("name", ["request", "resource", "subprotocol", "rejected", "close_code", "close_reason", "id"])
async def test_what_wsframe_knows_of_a_client_is_read_only(autojump_clock: MockClock, name: str) -> None:
    room = Echo()
    async with open_kit(room) as kit:
        await kit.connect()
        (client,) = room.clients
        with pytest.raises(AttributeError):
            setattr(client, name, None)


@pytest.mark.parametrize("ordering", ["resource", "client"])
@pytest.mark.parametrize("where", ["class", "object"])
async def test_a_hook_that_is_assigned_serves_live_clients(
    autojump_clock: MockClock, ordering: str, where: str
) -> None:
    class Room(Echo):
        pass

    room = Room()
    room.ordering = ordering  # type: ignore[assignment,misc]
    notes: list[str] = []
    async with open_kit(room) as kit:
        client = await kit.connect()
        client.send_text("one")
        assert await client.receive_text() == "one"

        async def received_text(client: Client, message: str) -> None:
            client.send_text(message.upper())

        async def received_text_of_class(self: Room, client: Client, message: str) -> None:
            await received_text(client, message)

        async def disconnected(self: Room, client: Client) -> None:
            notes.append("disconnected")

        if where == "class":
            setattr(Room, "received_text", received_text_of_class)  # noqa: B010
        else:
            setattr(room, "received_text", received_text)  # noqa: B010
        setattr(Room, "disconnected", disconnected)  # noqa: B010
        client.send_text("two")
        assert await client.receive_text() == "TWO"
        client.close()
        await client.closed()
        await trio.testing.wait_all_tasks_blocked()
    assert notes == ["disconnected"]


async def test_a_received_pong_that_a_class_gets_later_is_called_from_the_next_client_on(
    autojump_clock: MockClock,
) -> None:
    class Room(Echo):
        pass

    notes: list[bytes] = []

    async def received_pong(self: Room, client: Client, payload: bytes) -> None:
        notes.append(payload)

    async with open_kit(Room()) as kit:
        await kit.connect()
        setattr(Room, "received_pong", received_pong)  # noqa: B010
        client = await kit.connect()
        client.send_frame(0xA, b"late")
        await trio.testing.wait_all_tasks_blocked()
    assert notes == [b"late"]
