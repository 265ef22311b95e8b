"""The end of a client, and its attributes then: over real sockets."""

from collections.abc import Callable

import pytest
import trio

import wsframe
from tests.recorder import Echo, Recorder
from tests.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Peer, close, connected, frame, serving, text
from wsframe import Limits, State, Timeouts

# The kernel holds far less than this for a peer that reads nothing.
MUCH = 16 * 1024 * 1024


async def test_close_sends_code_and_reason_and_ends_in_order() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        states = [client.state]
        assert client.close(4001, "grüß") is True
        states.append(client.state)
        assert await peer.receive_close() == (4001, "grüß")
        await peer.send(close(4001))
        assert await peer.receive() is None
        await room.journal.until("disconnected 4001")
        await peer.stream.aclose()
        await client.closed()
        assert [*states, client.state] == [State.OPEN, State.CLOSING, State.CLOSED]


async def test_second_close_returns_false_and_sends_nothing() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        assert room.only.close() is True
        assert room.only.close(4000) is False
        assert await peer.receive_close() == (1000, "")
        await peer.send(close())
        assert await peer.receive() is None


async def test_sending_after_close_returns_false_and_sends_nothing() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        client.send("before")
        client.close()
        assert [client.send("x"), client.send(b"x"), client.ping(), client.send_text("x", frame_size=1)] == [False] * 4
        await peer.send(close())
        frames = await peer.rest.frames()
    assert [one.opcode for one in frames] == [TEXT, CLOSE]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("x" * 124, "x" * 123), ("ü" * 62, "ü" * 61), ("x" + "€" * 41, "x" + "€" * 40), ("😀" * 31, "😀" * 30), ("", "")],
)
async def test_reason_is_cut_at_123_bytes_between_characters(reason: str, expected: str) -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.only.close(1000, reason)
        assert await peer.receive_close() == (1000, expected)


async def eof(peer: Peer) -> None:
    await peer.stream.send_eof()


async def reset(peer: Peer) -> None:
    peer.reset()


Facts = tuple[int, str, bool]


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (close(1000, "bye"), (1000, "bye", True)),
        (close(4999, "grüß"), (4999, "grüß", True)),
        (close(None), (1005, "", True)),
        (frame(3), (1002, "unknown opcode 3", False)),
        (frame(TEXT, b"\xff"), (1007, "invalid UTF-8", False)),
        (close(1005), (1002, "close code 1005 must not be sent", False)),
        (close(1014, "later"), (1014, "later", True)),
    ],
)
async def test_close_facts_tell_what_the_peer_sent(data: bytes, facts: Facts) -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        await peer.send(data)
        assert await peer.end() == "fin"
        await room.journal.until(f"disconnected {facts[0]}")
        assert (client.close_code, client.close_reason, client.closed_cleanly) == facts


@pytest.mark.parametrize("end", [eof, reset])
async def test_close_code_is_1006_without_a_close_frame(end: Callable[[Peer], object]) -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        if end is eof:
            await eof(peer)
        else:
            peer.reset()
        await room.journal.until("disconnected 1006")
        assert (client.close_reason, client.closed_cleanly) == ("connection lost", False)


async def test_close_without_code_is_answered_without_code() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(close(None))
        assert await peer.receive_close() == (None, "")
        assert await peer.receive() is None


class Rejecting(Recorder):
    """Refuses everybody after greeting them."""

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        client.send("dropped")
        client.send(
            "dropped too",
        )
        assert client.reject(4003, "full") is True
        assert client.reject() is False
        self.journal.add(f"rejected {client.rejected}")


async def test_reject_drops_what_is_queued_and_closes() -> None:
    room = Rejecting()
    async with serving(room) as server, connected(server, trailing=text("never heard")) as peer:
        assert await peer.receive_close() == (4003, "full")
        await peer.send(text("nor this"), close(4003))
        assert await peer.receive() is None
        await room.journal.until("disconnected 4003")
    assert room.notes == ["connected", "rejected True", "disconnected 4003"]


async def test_reject_after_close_lets_the_first_close_stand() -> None:
    class Undecided(Recorder):
        async def client_connected(self, client: wsframe.Client) -> None:
            client.close(4001)
            client.reject(4002)

    async with serving(Undecided()) as server, connected(server) as peer:
        assert await peer.receive_close() == (4001, "")


async def test_abort_is_a_reset() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        assert client.abort() is True
        assert client.state is State.CLOSED
        assert client.abort() is False
        assert [client.send("x"), client.close(), client.reject()] == [False, False, False]
        assert await peer.end() == "reset"
        await room.journal.until("disconnected 1006")
        assert (client.close_reason, client.closed_cleanly) == ("aborted", False)


async def test_drained_is_true_at_once_while_the_kernel_takes_everything() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.only.send("x")
        assert await room.only.drained() is True
        assert await peer.receive_text() == "x"


class Waiting:
    """Waits in a task for a client and notes the outcome."""

    def __init__(self) -> None:
        self.outcome: object = "waiting"

    async def drained(self, client: wsframe.Client, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        self.outcome = await client.drained()

    async def latency(self, client: wsframe.Client, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        self.outcome = await client.measure_latency()


async def test_drained_waits_until_the_peer_has_read() -> None:
    room = Recorder()
    waiting = [Waiting(), Waiting()]
    async with serving(room, limits=wsframe.Limits(max_outbox=MUCH)) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.only.send(bytes(MUCH))
        async with trio.open_nursery() as nursery:
            for one in waiting:
                await nursery.start(one.drained, room.only)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert [one.outcome for one in waiting] == ["waiting", "waiting"]
            assert await peer.receive() == Frame(BINARY, bytes(MUCH))
        assert [one.outcome for one in waiting] == [True, True]
        assert room.only.statistics().bytes_waiting == 0


async def test_drained_is_false_when_the_client_goes() -> None:
    room, waiting = Recorder(), Waiting()
    async with serving(room, limits=wsframe.Limits(max_outbox=MUCH)) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        client.send(bytes(MUCH))
        async with trio.open_nursery() as nursery:
            await nursery.start(waiting.drained, client)
            peer.reset()
        assert waiting.outcome is False
        await room.journal.until("disconnected 1006")
        assert await client.drained() is False


async def test_closed_ends_with_the_transport_and_at_once_for_a_client_that_is_gone() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.closed)
            nursery.start_soon(client.closed)
            await peer.send(close())
            await peer.end()
            await peer.stream.aclose()
        await client.closed()


async def test_closed_does_not_wait_for_the_hooks() -> None:
    """Else a hook that awaits it would wait for itself."""
    room = Recorder()
    async with serving(room) as server, connected(server, trailing=text("hold")) as peer:
        await room.journal.until("text hold")
        client = room.only
        peer.reset()
        await client.closed()
        assert room.notes == ["connected", "text hold"]
        room.release.set()


async def test_latency_is_measured_in_seconds() -> None:
    room, waiting = Recorder(), Waiting()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        async with trio.open_nursery() as nursery:
            await nursery.start(waiting.latency, room.only)
            ping = await peer.receive()
            assert ping is not None
            assert ping.opcode == PING
            await peer.send(frame(PONG, ping.payload))
        assert isinstance(waiting.outcome, float)
        assert 0 <= waiting.outcome < 5
        assert room.only.latency == room.only.statistics().latency == waiting.outcome


async def test_two_measurements_at_once_are_told_apart() -> None:
    room, waiting = Recorder(), [Waiting(), Waiting()]
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        async with trio.open_nursery() as nursery:
            for one in waiting:
                await nursery.start(one.latency, room.only)
            pings = [await peer.receive(), await peer.receive()]
            assert pings[1] is not None
            await peer.send(frame(PONG, pings[1].payload))
            while waiting[1].outcome == "waiting":
                await trio.lowlevel.checkpoint()
            assert waiting[0].outcome == "waiting"
            assert pings[0] is not None
            await peer.send(frame(PONG, pings[0].payload))
        assert all(isinstance(one.outcome, float) for one in waiting)


async def test_latency_is_none_for_a_client_that_goes_or_is_gone() -> None:
    room, waiting = Recorder(), Waiting()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        async with trio.open_nursery() as nursery:
            await nursery.start(waiting.latency, client)
            assert client.latency is None
            peer.reset()
        assert waiting.outcome is None
        assert await client.measure_latency() is None


async def test_statistics_count_messages_either_way() -> None:
    room = Echo()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("one"), frame(BINARY, b"two"), frame(PING, b"p"), text("hold"))
        await room.journal.until("text hold")
        await peer.send(text("four"), text("five"))
        while room.only.statistics().messages_received < 5:
            await trio.lowlevel.checkpoint()
        seen = room.only.statistics()
        assert (seen.messages_received, seen.messages_waiting) == (5, 2)
        assert (seen.messages_sent, seen.messages_dropped, seen.latency) == (2, 0, None)
        assert seen.bytes_sent == sum(map(len, (b"..one", b"..two", b"..p")))
        assert seen.bytes_received == sum(len(text) + 6 for text in ("one", "two", "p", "hold", "four", "five"))
        room.release.set()


async def test_pongs_are_not_counted_as_messages() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(frame(PONG, b"unasked"), text("message"))
        await room.journal.until("text message")
        assert room.only.statistics().messages_received == 1


async def test_dropped_messages_are_counted() -> None:
    class Lossy(Recorder):
        overflow = "drop_newest"

    room = Lossy()
    async with serving(room, limits=wsframe.Limits(max_outbox=1000)) as server, connected(server):
        await room.journal.until("connected")
        client = room.only
        client.send(bytes(MUCH))
        assert client.send("x" * 1000) is False
        assert client.statistics().messages_dropped == 1


async def test_keepalive_pong_gives_the_latency_of_the_statistics() -> None:
    room = Recorder()
    times = Timeouts(ping_interval=0.05)
    async with serving(room, timeouts=times) as server, connected(server) as peer:
        ping = await peer.receive()
        assert ping is not None
        assert ping.opcode == PING
        assert room.only.statistics().latency is None
        await peer.send(frame(PONG, ping.payload), text("after"))
        await room.journal.until("text after")
        assert room.only.statistics().latency is not None
        assert not [note for note in room.notes if note.startswith("pong")]


async def test_nothing_is_held_of_who_was_lost_half_read_once_the_server_is_cut_off() -> None:
    room = Recorder()
    async with serving(room, limits=Limits(max_queued_messages=1)) as server:
        async with connected(server, trailing=text("hold") + text("more") * 100) as peer:
            await room.journal.until("text hold")
            client = room.only
            peer.reset()
            while client.state is not State.CLOSED:  # noqa: ASYNC110
                await trio.sleep(0.005)
        assert server.statistics().bytes_waiting > 0
        server.hurry()
        await server.closed()
        assert server.statistics().bytes_waiting == 0
    assert room.notes == ["connected", "text hold", "disconnected 1006"]


@pytest.mark.parametrize("how", ["close", "reject", "abort"])
async def test_ending_from_another_thread_is_refused_and_changes_nothing(how: str) -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        with pytest.raises(RuntimeError, match="thread"):
            await trio.to_thread.run_sync(getattr(client, how))
        assert client.state is State.OPEN
        assert not client.rejected
        await peer.send(text("still here"))
        await room.journal.until("text still here")
        client.abort()
        await room.journal.until("disconnected 1006")
