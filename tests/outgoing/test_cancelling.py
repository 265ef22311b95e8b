"""The effects of cancelling a send or a receive, and the waits of either side."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.outgoing.memory import Server, connected, settled, text
from tests.protocol import peer
from tests.wire import BOUND
from wsframe import ConnectionClosed, Limits, State
from wsframe.connection.memory_budget import FRAME_COST, MESSAGE_COST
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, filled
from wsframe.outgoing.link import OutgoingLink
from wsframe.protocol.decoder import Decoder

# Cancelling a send


@pytest.mark.parametrize("window", [0, 1, 5, 6, 7, 50, 105])
async def test_a_send_that_is_cancelled_leaves_whole_frames(window: int) -> None:
    """The kernel takes part of the first message; the second waits for room, and is cancelled there."""
    async with connected(Server(window), limits=Limits(max_outbox=150)) as it:
        await it.ws.send("a" * 100)
        with trio.move_on_after(0) as scope:
            await it.ws.send("b" * 100)
        assert scope.cancelled_caught
        it.server.take(2**40)
        await settled()
        await it.ws.send("c" * 100)
        assert it.server.received() == ["a" * 100, "c" * 100]


async def test_a_send_that_waits_is_cancelled_whole() -> None:
    async with connected(Server(10), limits=Limits(max_outbox=50)) as it:
        await it.ws.send("a" * 100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.ws.send, "b" * 100)
            await settled()
            nursery.cancel_scope.cancel()
        it.server.take(2**40)
        await it.ws.send("c")
        assert it.server.received() == ["a" * 100, "c"]


async def test_what_a_sender_left_is_sent_without_another() -> None:
    """A task of the connection goes on, in any bites."""
    async with connected(Server(3, bite=7)) as it:
        await it.ws.send("a" * 100)
        for _ in range(60):
            it.server.take(2)
            await settled()
        assert it.server.received() == ["a" * 100]
        assert not it.link.sender.unsent


@settings(max_examples=60)
@given(
    windows=st.lists(st.integers(0, 300), max_size=12),
    bite=st.integers(1, 64),
    cancelled=st.sets(st.integers(0, 11)),
)
def test_cancelling_any_sends_leaves_the_others_whole(windows: list[int], bite: int, cancelled: set[int]) -> None:
    async def main() -> None:
        async with connected(Server(0, bite=bite), limits=Limits(max_outbox=200)) as it:
            scopes = [trio.CancelScope() for _ in range(12)]
            sent: list[str] = []

            async def send(number: int) -> None:
                message = f"{number} " * 30
                with scopes[number]:
                    await it.ws.send(
                        message,
                    )
                    sent.append(message)

            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(send, number)
                    await settled()
                    it.server.take(windows[number] if number < len(windows) else 0)
                    if number in cancelled:
                        scopes[number].cancel()
                await settled()
                for number in cancelled:
                    scopes[number].cancel()
                it.server.take(2**40)
            await settled()
            assert it.server.received() == sent

    trio.run(main)


# Cancelling a receive


async def test_a_receive_that_is_cancelled_takes_no_message() -> None:
    async with connected() as it:
        it.server.feed(text("one"), text("two"))
        with trio.CancelScope() as scope:
            scope.cancel()
            await it.ws.receive()
        assert scope.cancelled_caught
        assert [await it.ws.receive(), await it.ws.receive()] == ["one", "two"]


async def test_a_receive_cancelled_in_mid_frame_loses_nothing() -> None:
    async with connected() as it:
        for byte in text("a message"):
            with trio.move_on_after(0):
                await it.ws.receive()
            it.server.feed(bytes((byte,)))
            await settled()
        assert await it.ws.receive() == "a message"


async def test_a_cancelled_reader_hands_the_reading_on() -> None:
    """While a receive reads, a ping waits for it; when the receive is cancelled, the ping reads."""
    async with connected() as it, trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def receive() -> None:
            with scope:
                await it.ws.receive()

        nursery.start_soon(receive)
        await settled()
        nursery.start_soon(it.ws.ping, b"x")
        await settled()
        scope.cancel()
        await settled()
        it.server.feed(peer.frame(peer.PONG, b"x", mask=None))


# Backpressure


async def test_a_send_waits_while_the_outbox_is_full() -> None:
    limits = Limits(max_outbox=1000 + 5 * FRAME_COST)
    async with connected(Server(0), limits=limits) as it, trio.open_nursery() as nursery:
        for _ in range(4):
            await it.ws.send(b"x" * 240)
        sent = trio.Event()

        async def send() -> None:
            await it.ws.send(b"last")
            await it.ws.send(b"x" * 240)
            sent.set()

        nursery.start_soon(send)
        await settled()
        assert not sent.is_set()
        assert it.link.outbox.byte_count < 1100
        it.server.take(300)
        await settled()
        assert sent.is_set()


async def test_a_send_that_waits_goes_on_also_if_a_ping_was_faster_to_make_room() -> None:
    """A waiting message leaves with somebody else's frame before the task of the connection gets to it."""
    server, limits = Server(0), filled(Limits(max_outbox=100), DEFAULT_LIMITS)
    link = OutgoingLink(server, limits, Decoder(limits, DEFAULT_TIMEOUTS, trio.current_time(), masked=False), "test")
    link.writer.put(peer.TEXT, b"a" * 90, None, None)
    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.writer.room_for, 90)
            await settled()
            server.take(2**40)
            link.ping(b"now")
            assert not link.sender.unsent
            async with trio.open_nursery() as tasks:
                tasks.start_soon(link.writer.run)
                await settled()
                assert not nursery.child_tasks
                tasks.cancel_scope.cancel()


async def test_an_empty_outbox_takes_any_message() -> None:
    async with connected(Server(0), limits=Limits(max_outbox=10)) as it:
        await it.ws.send(b"x" * 1000)


async def test_messages_of_several_senders_leave_in_order() -> None:
    async with connected(Server(0), limits=Limits(max_outbox=10)) as it, trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(it.ws.send, f"{number}" * (20 - number))
            await settled()
        for _ in range(100):
            it.server.take(5)
            await settled()
        assert it.server.received() == [f"{number}" * (20 - number) for number in range(10)]


@pytest.mark.parametrize("limits", [Limits(max_queued_messages=10), Limits(max_queued_bytes=1000 + 10 * MESSAGE_COST)])
async def test_nothing_is_read_while_enough_messages_wait(
    limits: Limits, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(limits=limits) as it:
        for number in range(100):
            it.server.feed(text(f"{number:100}"))
            await trio.sleep(1)
        waiting = len(it.link.messages)
        assert 5 < waiting < 15
        assert [int(await it.ws.receive()) for _ in range(100)] == list(range(100))


async def test_what_one_read_brought_too_much_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(limits=Limits(max_queued_messages=10)) as it:
        it.server.feed(*[text(f"{number}") for number in range(100)])
        await trio.sleep(1)
        assert len(it.link.messages) == 10
        it.server.end()
        assert [int(await it.ws.receive()) for _ in range(100)] == list(range(100))
        with pytest.raises(ConnectionClosed, match="connection lost"):
            await it.ws.receive()


async def test_a_server_that_is_paused_is_pinged_but_not_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """Its pong waits behind data that we do not read; a ping shows whether TCP is still there."""
    async with connected(limits=Limits(max_queued_messages=1)) as it:
        it.server.feed(text("one"))
        await trio.sleep(1000)
        assert it.ws.state is State.OPEN
        pings = it.server.controls("ping")
        assert pings
        assert len(pings) == len(it.server.received())
        assert await it.ws.receive() == "one"
