"""The invariants, over real sockets: order, isolation and the end of a client (1, 2, 3, 8, 10)."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio

import wsframe
from tests.descriptors import none_stays_open
from tests.recorder import Echo, Recorder
from tests.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Peer, close, connected, frame, serving, text
from wsframe import Limits, Timeouts
from wsframe.net.poller import PollerName
from wsframe.protocol.decoder import Decoder

MUCH = 16 * 1024 * 1024


class Counting(wsframe.Resource):
    """Counts the hooks that run at the same time; each awaits a few times."""

    def __init__(self) -> None:
        self.inside = self.most = self.calls = 0

    async def hook(self) -> None:
        self.calls += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        self.inside -= 1

    async def client_connected(self, client: wsframe.Client) -> None:
        await self.hook()

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await self.hook()

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        await self.hook()

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        await self.hook()

    async def received_custom(self, message: object) -> None:
        await self.hook()

    async def disconnected(self, client: wsframe.Client) -> None:
        await self.hook()


async def test_invariant_1_hooks_never_overlap(poller: PollerName) -> None:
    room = Counting()

    async def live() -> None:
        async with connected(server) as peer:
            await peer.send(*(text("x") + frame(BINARY, b"x") + frame(PONG) for _ in range(20)))
            room.post("x")
            await room.call(room.hook)
            await peer.finish()

    async with serving(room, poller=poller) as server, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(live)
    assert room.calls == 10 * (2 + 60 + 2)
    assert room.most == 1


async def test_invariant_1_accept_client_may_overlap_everything(poller: PollerName) -> None:
    class Both(Recorder):
        async def accept_client(self, request: wsframe.Request) -> None:
            if self.clients:
                self.release.set()

    room = Both()
    async with serving(room, poller=poller) as server, connected(server, trailing=text("hold")):
        await room.journal.until("text hold")
        async with connected(server):
            await room.journal.until("connected", 2)


async def test_invariant_2_messages_come_in_the_order_sent(poller: PollerName) -> None:
    room = Recorder()
    async with serving(room, poller=poller) as server, connected(server) as peer:
        for start in range(0, 1000, 100):
            await peer.send(*(text(str(number)) for number in range(start, start + 100)))
        await peer.finish()
    assert room.notes == ["connected", *(f"text {number}" for number in range(1000)), "disconnected 1000"]


def send_eof(peer: Peer) -> None:
    peer.stream.socket.shutdown(trio.socket.SHUT_WR)


ENDS: dict[str, tuple[bytes, Callable[[Peer], None] | None, int]] = {
    "close": (close(4000), None, 4000),
    "eof": (b"", send_eof, 1006),
    "reset": (b"", Peer.reset, 1006),
    "violation": (frame(3), None, 1002),
    "not utf-8": (frame(TEXT, b"\xff"), None, 1007),
    "half a frame": (text("never whole")[:-1], send_eof, 1006),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("share", [256, 3])
async def test_invariant_2_what_came_before_the_end_is_delivered(poller: PollerName, end: str, share: int) -> None:
    """However the peer ended, and also where its messages have not been decoded yet."""
    last, how, code = ENDS[end]
    room = Recorder()
    async with (
        serving(room, poller=poller, limits=Limits(max_queued_messages=share)) as server,
        connected(server) as peer,
    ):
        await peer.send(text("hold"), *(text(str(number)) for number in range(20)), last)
        await room.journal.until("text hold")
        client = room.only
        if how is not None:
            how(peer)
        if end == "reset" and (share > 20 or poller == "epoll"):
            await client.closed()  # the task poller sees the reset of a paused client only when it resumes
        room.release.set()
        await room.journal.until(f"disconnected {code}")
    assert room.notes == [
        "connected", "text hold", *(f"text {number}" for number in range(20)), f"disconnected {code}",
    ]  # fmt: skip


OUR_ENDS: dict[str, Callable[[wsframe.Client], object]] = {
    "reject": lambda client: client.reject(),
    "abort": lambda client: client.abort(),
    "overflow": lambda client: [client.send(bytes(MUCH)) for _ in range(2)],
}


@pytest.mark.parametrize("end", OUR_ENDS)
async def test_invariant_2_what_waits_is_dropped_when_we_end_the_client(poller: PollerName, end: str) -> None:
    room = Recorder()
    async with serving(room, poller=poller) as server, connected(server) as peer:
        await peer.send(text("hold"), text("dropped"))
        await room.journal.until("text hold")
        while not room.only.statistics().messages_waiting:
            await trio.lowlevel.checkpoint()
        OUR_ENDS[end](room.only)
        room.release.set()
        with suppress(trio.BrokenResourceError):  # it may have been reset by now
            await peer.send(close())
        await room.journal.when(lambda notes: notes[-1].startswith("disconnected"))
    assert len(room.notes) == 3


async def test_invariant_2_what_comes_after_our_close_is_discarded(poller: PollerName) -> None:
    room = Recorder()
    async with serving(room, poller=poller) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.only.close()
        assert (await peer.receive_close())[0] == 1000
        await peer.send(text("discarded"), frame(BINARY, bytes(1000)), frame(PING), close(1000))
        assert await peer.receive() is None
        await room.journal.until("disconnected 1000")
    assert room.notes == ["connected", "disconnected 1000"]


async def test_invariant_3_hook_that_raises_costs_its_client_only(poller: PollerName) -> None:
    class Fragile(Echo):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            if message == "crash":
                raise ZeroDivisionError
            await super().received_text(client, message)

    async with (
        serving(Fragile(), poller=poller) as server,
        connected(server) as victim,
        connected(server) as bystander,
    ):
        await victim.send(text("crash"))
        assert (await victim.receive_close())[0] == 1011
        await bystander.send(text("still here"))
        assert await bystander.receive_text() == "still here"


async def test_invariant_3_crashed_task_costs_its_resource_only(poller: PollerName) -> None:
    async def crash() -> None:
        raise ZeroDivisionError

    victim, bystander = Recorder(), Echo()
    async with (
        serving({"/victim": victim, "/bystander": bystander}, poller=poller) as server,
        connected(server, "/victim") as first,
        connected(server, "/bystander") as second,
    ):
        await victim.journal.until("connected")
        victim.start_soon(crash)
        assert (await first.receive_close())[0] == 1011
        await second.send(text("still here"))
        assert await second.receive_text() == "still here"


async def test_invariant_3_bug_of_ours_costs_one_link(
    poller: PollerName, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = Echo()
    async with serving(room, poller=poller) as server, connected(server) as victim, connected(server) as bystander:
        await room.journal.until("connected", 2)
        sound = Decoder.receive

        trigger = frame(PONG, b"trigger")  # of a ping alone it does not hear

        def receive(self: Decoder, data: bytearray, room: int) -> list[object]:
            if len(data) == len(trigger):
                raise ZeroDivisionError("a bug")
            return list(sound(self, data, room))

        monkeypatch.setattr(Decoder, "receive", receive)
        await victim.send(trigger)
        assert await victim.end() == "reset"
        await bystander.send(text("still here"))
        assert await bystander.receive_text() == "still here"
        await room.journal.until("disconnected 1006")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None


async def test_invariant_8_pong_goes_ahead_of_queued_messages_inside_none(poller: PollerName) -> None:
    room = Recorder()
    async with (
        serving(room, poller=poller, limits=Limits(max_outbox=3 * MUCH)) as server,
        connected(server) as peer,
    ):
        await room.journal.until("connected")
        for number in range(3):
            room.only.send(bytes((number,)) * MUCH)
        await peer.send(frame(PING, b"now"), text("sent"))
        await room.journal.until("text sent")
        frames = [await peer.receive() for _ in range(4)]
        assert [one and (one.opcode, one.payload[:1]) for one in frames] == [
            (BINARY, b"\0"), (PONG, b"n"), (BINARY, b"\1"), (BINARY, b"\2"),
        ]  # fmt: skip


async def test_invariant_8_close_goes_behind_everything_and_nothing_after_it(poller: PollerName) -> None:
    room = Recorder()
    async with (
        serving(room, poller=poller, limits=Limits(max_outbox=3 * MUCH)) as server,
        connected(server) as peer,
    ):
        await room.journal.until("connected")
        client = room.only
        for message in (bytes(MUCH), "small", bytes(MUCH)):
            assert client.send(message)
        client.close(4000)
        client.send("after")
        await peer.send(frame(PING))
        assert [one.opcode for one in [await peer.receive() for _ in range(4)] if one] == [BINARY, TEXT, BINARY, CLOSE]
        await peer.send(close(4000))
        assert await peer.receive() is None


@pytest.mark.parametrize(("last", "code"), [(close(4000), 4000), (frame(3), 1002), (frame(TEXT, b"\xff"), 1007)])
async def test_invariant_8_replies_leave_before_the_answer_to_the_peers_end(
    poller: PollerName, last: bytes, code: int
) -> None:
    room = Echo()
    async with serving(room, poller=poller) as server, connected(server) as peer:
        await peer.send(text("hold"), text("2"), text("3"), last)
        await room.journal.until("text hold")
        room.release.set()
        assert [await peer.receive_text() for _ in range(3)] == ["hold", "2", "3"]
        assert (await peer.receive_close())[0] == code
        assert await peer.receive() is None


async def test_invariant_8_close_is_answered_in_time_though_the_hooks_are_busy(poller: PollerName) -> None:
    room = Echo()
    async with serving(room, poller=poller, timeouts=Timeouts(close=0.1)) as server, connected(server) as peer:
        await peer.send(text("hold"), close(4000))
        await room.journal.until("text hold")
        assert await peer.receive_close() == (4000, "")
        assert room.notes == ["connected", "text hold"]
        room.release.set()
        await room.journal.until("disconnected 4000")


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def crowd(server: wsframe.Server, room: Recorder) -> None:
    """Connect clients of all kinds, and leave them to the server."""
    async with connected(server) as idle, connected(server) as stalled, connected(server, trailing=text("hold")):
        await room.journal.until("connected", 3)
        for client in room.clients:
            if client.port == stalled.port:
                client.send(bytes(MUCH))
        await room.journal.until("text hold")
        server.close()
        assert (await idle.receive_close())[0] == 1001
        await server.closed()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_invariant_10_everything_is_gone_when_the_server_has_ended(poller: PollerName) -> None:
    room = Recorder()
    before = tasks()
    with none_stays_open():
        async with serving(room, poller=poller, timeouts=Timeouts(drain=0.2, close=0.1)) as server:
            await crowd(server, room)
    assert tasks() == before
    assert room.notes.count("connected") == 3
    assert len([note for note in room.notes if note.startswith("disconnected")]) == 3
    assert len(room.clients) == 0


async def test_invariant_10_cancelled_server_still_says_goodbye(poller: PollerName) -> None:
    registry, room = wsframe.Registry(), Recorder()
    registry.register("/", room)
    before = tasks()
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[wsframe.Server]) -> None:
            await wsframe.serve(
                registry, port=0, poller=poller, timeouts=Timeouts(drain=0.2, close=0.1), task_status=task_status
            )

        server = await nursery.start(serve)
        async with connected(server), connected(server, trailing=text("hold")):
            await room.journal.until("text hold")
            await room.journal.until("connected", 2)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await server.closed()
    assert tasks() == before
    assert len([note for note in room.notes if note.startswith("disconnected")]) == 2


async def test_invariant_10_error_in_the_body_comes_out_as_it_is(poller: PollerName) -> None:
    room = Recorder()

    async def fail() -> None:
        async with serving(room, poller=poller, timeouts=Timeouts(drain=0.2)) as server, connected(server):
            await room.journal.until("connected")
            raise KeyError("the body's own")

    with pytest.raises(KeyError, match="the body's own"):
        await fail()
    assert room.notes == ["connected", "disconnected 1006"]


async def test_invariant_10_what_the_drain_had_no_time_to_send_is_cut_off(poller: PollerName) -> None:
    room = Recorder()
    async with (
        serving(room, poller=poller, limits=Limits(max_outbox=MUCH), timeouts=Timeouts(drain=0.2)) as server,
        connected(server) as peer,
    ):
        await room.journal.until("connected")
        room.only.send("first")
        room.only.send(bytes(MUCH))
        server.close()
        await server.closed()
        assert await peer.receive() == Frame(TEXT, b"first")
        assert await peer.end() == "reset"
