"""Pings either way, silence and stalls, against a server in memory."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.outgoing.memory import Server, connected, settled, state, text
from tests.protocol import peer
from wsframe import ConnectionClosed, Limits, State, Timeouts

# Pings


async def test_pings_are_answered_while_nobody_receives(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as it:
        await trio.sleep(15)
        it.server.feed(peer.frame(peer.PING, b"there?", mask=None))
        await trio.sleep(0.2)
        assert it.server.received() == [("pong", b"there?")]


async def test_pings_are_answered_while_a_message_is_received() -> None:
    async with connected() as it:
        it.server.feed(peer.frame(peer.PING, b"there?", mask=None), text("hello"))
        assert await it.ws.receive() == "hello"
        assert it.server.received() == [("pong", b"there?")]


async def test_a_pong_goes_out_ahead_of_messages_and_never_inside_one() -> None:
    async with connected(Server(10)) as it:
        await it.ws.send("a" * 100)
        await it.ws.send("b" * 100)
        it.server.feed(peer.frame(peer.PING, b"there?", mask=None))
        await settled()
        with trio.move_on_after(0.2):
            await it.ws.receive()
        it.server.take(2**40)
        await settled()
        assert it.server.received() == ["a" * 100, ("pong", b"there?"), "b" * 100]


async def test_a_flood_of_pings_holds_no_memory() -> None:
    async with connected(Server(0)) as it:
        await it.ws.send("a" * 100)
        for number in range(1000):
            it.server.feed(peer.frame(peer.PING, b"%d" % number, mask=None))
            with trio.move_on_after(0):
                await it.link.read()
            it.link.take_in()
        assert it.link.outbox.byte_count < 200


async def test_a_silent_server_is_pinged_and_then_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(timeouts=Timeouts(ping_interval=20, ping_timeout=10)) as it:
        with pytest.raises(ConnectionClosed, match="ping timeout") as caught:
            await it.ws.receive()
        assert trio.current_time() == pytest.approx(30)
        assert len(it.server.controls("ping")) == len(it.server.received()) == 1
        assert (caught.value.received, caught.value.sent, caught.value.peer_first) == (None, None, True)
        assert it.server.closed_by_reset
        assert it.ws.close_code == 1006


async def test_a_pong_that_the_program_had_no_time_to_read_counts(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(timeouts=Timeouts(ping_interval=20, ping_timeout=10)) as it:
        await trio.sleep(25)
        it.server._incoming += peer.frame(peer.PONG, it.server.controls("ping")[0], mask=None)  # and nobody is told
        await trio.sleep(10)
        assert state(it.ws) is State.OPEN
        assert len(it.server.controls("ping")) == 1


async def test_a_ping_that_may_wait_behind_a_large_message_is_sent_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected(timeouts=Timeouts(ping_interval=20, ping_timeout=10, write_stall=30)) as it:
        await trio.sleep(21)
        it.server.window = 0
        await it.ws.send("a" * 100)
        await trio.sleep(20)
        it.server.take(2**40)
        await trio.sleep(15)
        assert state(it.ws) is State.OPEN
        assert len(it.server.controls("ping")) == 1
        await trio.sleep(10)
        assert len(it.server.controls("ping")) == 2


async def test_a_server_that_answers_is_kept_and_its_latency_known(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as it:
        for _ in range(10):
            await trio.sleep(21)
            it.server.feed(peer.frame(peer.PONG, it.server.controls("ping")[-1], mask=None))
            await settled()
        assert state(it.ws) is State.OPEN
        assert it.ws.latency == pytest.approx(1, abs=0.1)


async def test_ping_returns_the_latency(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as it, trio.open_nursery() as nursery:

        async def answer() -> None:
            await trio.sleep(2)
            it.server.feed(peer.frame(peer.PONG, b"x", mask=None))

        nursery.start_soon(answer)
        assert await it.ws.ping(b"x") == pytest.approx(2)
        assert it.link.pings == []


async def test_measuring_the_latency_notes_it(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as it, trio.open_nursery() as nursery:

        async def answer() -> None:
            await trio.sleep(2)
            (ping,) = it.link.pings
            it.server.feed(peer.frame(peer.PONG, ping.payload, mask=None))

        assert it.ws.latency is None
        nursery.start_soon(answer)
        assert await it.ws.measure_latency() == pytest.approx(2)
        assert it.ws.latency == pytest.approx(2)
        it.ws.abort()
        assert await it.ws.measure_latency() is None


async def test_a_pong_answers_the_pings_before_it() -> None:
    async with connected() as it, trio.open_nursery() as nursery:
        for payload in (b"1", b"2", b"3"):
            nursery.start_soon(it.ws.ping, payload)
            await settled()
        it.server.feed(peer.frame(peer.PONG, b"2", mask=None), peer.frame(peer.PONG, b"unasked", mask=None))
        await settled()
        assert [ping.payload for ping in it.link.pings] == [b"3"]
        it.server.feed(peer.frame(peer.PONG, b"3", mask=None))


async def test_a_pong_answers_all_pings_of_its_payload() -> None:
    """A server may answer the latest of several pings alone (RFC 6455 section 5.5.3)."""
    async with connected() as it, trio.open_nursery() as nursery:
        for payload in (b"1", b"2", b"1"):
            nursery.start_soon(it.ws.ping, payload)
            await settled()
        it.server.feed(peer.frame(peer.PONG, b"1", mask=None))


async def test_a_ping_that_is_cancelled_is_forgotten() -> None:
    async with connected() as it:
        with trio.move_on_after(0.01):
            await it.ws.ping()
        assert it.link.pings == []


async def test_a_ping_ends_with_the_connection() -> None:
    async with connected() as it:
        it.server.end()
        with pytest.raises(ConnectionClosed):
            await it.ws.ping()
        with pytest.raises(ConnectionClosed):
            await it.ws.ping()


async def test_a_ping_payload_has_a_limit_and_a_type() -> None:
    async with connected() as it:
        with pytest.raises(ValueError, match="125"):
            await it.ws.ping(b"x" * 126)
        with pytest.raises(TypeError):
            await it.ws.ping("x")  # type: ignore[arg-type]


# Stalls


async def test_a_server_that_takes_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Server(0), limits=Limits(max_outbox=10), timeouts=Timeouts(write_stall=30)) as it:
        await it.ws.send("a" * 100)
        with pytest.raises(ConnectionClosed, match="write stall"):
            await it.ws.send("b" * 100)
        assert trio.current_time() == pytest.approx(30)
        assert it.server.closed_by_reset


async def test_a_slow_server_is_let_be(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Server(0), timeouts=Timeouts(write_stall=30)) as it:
        it.server.unacknowledged = 2000
        await it.ws.send("a" * 100)
        for left in range(1000, 1, -100):
            it.server.unacknowledged = left
            await trio.sleep(31)
        assert state(it.ws) is State.OPEN


async def test_a_broken_pipe_ends_the_sending_and_what_came_is_received() -> None:
    async with connected(Server(0)) as it:
        await it.ws.send("a" * 100)
        it.server.feed(text("last"))
        with trio.move_on_after(0.1):
            await it.link.read()
        it.server.break_down()
        await settled()
        with pytest.raises(ConnectionClosed):
            await it.ws.send("b")
        assert await it.ws.receive() == "last"
        with pytest.raises(ConnectionClosed, match="connection lost"):
            await it.ws.receive()
