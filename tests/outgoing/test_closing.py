"""Closing by either side, against a server in memory."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.outgoing.memory import Server, close, connected, settled, state, text
from wsframe import ConnectionClosed, Limits, State, Timeouts

# Closing


async def test_we_close_and_the_server_answers() -> None:
    async with connected() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ws.close, 1000, "done")
        await settled()
        assert it.server.received() == [("close", 1000)]
        assert state(it.ws) is State.CLOSING
        with pytest.raises(ConnectionClosed):
            await it.ws.send("late")
        it.server.feed(text("late too"), close(1000, "done too"))
        await settled()
        assert state(it.ws) is State.CLOSING  # TCP is still there
        it.server.end()
        await settled()
        assert state(it.ws) is State.CLOSED
        assert (it.ws.close_code, it.ws.close_reason, it.ws.closed_cleanly) == (1000, "done too", True)
        with pytest.raises(ConnectionClosed) as caught:
            await it.ws.receive()
        assert caught.value.sent == (1000, "done")
        assert caught.value.received == (1000, "done too")
        assert not caught.value.peer_first
        assert caught.value.orderly
        assert it.server.closed_by_reset is False


async def test_the_close_frame_leaves_behind_everything_queued() -> None:
    async with connected(Server(0)) as it, trio.open_nursery() as nursery:
        await it.ws.send("a" * 100)
        nursery.start_soon(it.ws.close)
        await settled()
        it.server.take(2**40)
        await settled()
        assert it.server.received() == ["a" * 100, ("close", 1000)]
        it.server.feed(close())
        it.server.end()


async def test_the_server_closes_and_gets_its_answer_behind_our_replies() -> None:
    async with connected() as it:
        it.server.feed(text("one"), text("two"), close(1001, "going"))
        assert await it.ws.receive() == "one"
        await it.ws.send("reply to one")
        assert await it.ws.receive() == "two"
        await it.ws.send("reply to two")
        with pytest.raises(ConnectionClosed) as caught:
            await it.ws.receive()
        assert it.server.received() == ["reply to one", "reply to two", ("close", 1001)]
        assert (caught.value.received, caught.value.sent) == ((1001, "going"), (1001, ""))
        assert caught.value.peer_first
        assert caught.value.orderly
        with pytest.raises(ConnectionClosed):
            await it.ws.send("late")


async def test_a_close_is_answered_in_time_without_the_user(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(timeouts=Timeouts(close=5)) as it:
        it.server.feed(text("unread"), close(None))
        await trio.sleep(4)
        assert it.server.received() == []
        assert state(it.ws) is State.CLOSING
        await trio.sleep(2)
        assert it.server.received() == [("close", 1005)]
        assert await it.ws.receive() == "unread"
        with pytest.raises(ConnectionClosed) as caught:
            await it.ws.receive()
        assert (caught.value.received, caught.value.sent) == ((1005, ""), (1005, ""))
        await trio.sleep(6)
        assert state(it.ws) is State.CLOSED  # the server never ended TCP


async def test_a_user_that_gets_on_sends_all_replies_before_the_close_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected(timeouts=Timeouts(close=5)) as it:
        it.server.feed(*(text(str(number)) for number in range(12)), close(None))
        for number in range(12):
            assert await it.ws.receive() == str(number)
            await trio.sleep(4)
            await it.ws.send(f"reply to {number}")
        with pytest.raises(ConnectionClosed):
            await it.ws.receive()
        assert it.server.received() == [*(f"reply to {number}" for number in range(12)), ("close", 1005)]


async def test_a_server_that_does_not_answer_our_close_is_reset(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(timeouts=Timeouts(close=5)) as it:
        await it.ws.close(1000)
        assert trio.current_time() == pytest.approx(5)
        assert it.server.closed_by_reset
        with pytest.raises(ConnectionClosed, match="close timeout") as caught:
            await it.ws.receive()
        assert (caught.value.received, caught.value.sent) == (None, (1000, ""))
        assert not caught.value.orderly


async def test_closing_behind_a_shield_takes_no_longer(autojump_clock: trio.testing.MockClock) -> None:
    """The connection's own tasks, which look after its timeouts, are not cancelled before it has ended."""
    server = Server()
    async with connected(server, timeouts=Timeouts(close=5)) as it:
        it.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.fail_after(100):
            await it.ws.close()
    assert trio.current_time() == pytest.approx(5)
    assert server.closed_by_reset


class Deaf(Server):
    """Takes nothing any more, and does not end."""

    def send(self, data: bytes | memoryview) -> int:
        raise BrokenPipeError


async def test_closing_takes_no_longer_where_nothing_can_be_sent(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Deaf(), timeouts=Timeouts(close=5, ping_interval=None)) as it:
        await it.ws.send("lost")
        with trio.fail_after(100):
            await it.ws.close()
        assert state(it.ws) is State.CLOSED
        assert it.ws.close_reason == "close timeout"


async def test_a_close_frame_that_is_stuck_but_moves_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Server(0), timeouts=Timeouts(close=5)) as it, trio.open_nursery() as nursery:
        await it.ws.send("a" * 100)
        nursery.start_soon(it.ws.close)
        for _ in range(12):
            await trio.sleep(4)
            assert state(it.ws) is State.CLOSING
            it.server.take(10)
        await trio.sleep(1)
        assert it.server.received() == ["a" * 100, ("close", 1000)]
        it.server.feed(close())
        it.server.end()


async def test_a_server_that_sends_on_instead_of_closing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(limits=Limits(max_message=1000)) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ws.close)
        for _ in range(11):
            await settled()
            it.server.feed(text("x" * 100))
        await trio.sleep(10)
        assert it.ws.close_reason == "data instead of a close frame"
        assert state(it.ws) is State.CLOSED


async def test_a_close_that_is_cancelled_goes_on() -> None:
    async with connected() as it:
        with trio.move_on_after(0):
            await it.ws.close()
        assert it.server.received() == [("close", 1000)]
        it.server.feed(close())
        it.server.end()
        await it.ws.close()
        assert it.ws.closed_cleanly


async def test_both_sides_may_close_at_once() -> None:
    async with connected() as it:
        it.server.feed(text("unread"), close(1001))
        with trio.move_on_after(0.1):
            await it.link.read()
        it.server.end()
        await it.ws.close(4000)
        assert it.server.received() == [("close", 4000)]
        assert it.ws.close_code == 1001
        assert await it.ws.receive() == "unread"


async def test_a_close_may_find_the_end_at_once() -> None:
    """The server's close frame lay behind messages that there was no room for; TCP is still there."""
    async with connected(limits=Limits(max_queued_messages=1)) as it, trio.open_nursery() as nursery:
        it.server.feed(text("one"), text("two"), close(1001))
        with trio.move_on_after(0.1):
            await it.link.read()
        nursery.start_soon(it.ws.close)
        await settled()
        assert it.ws.close_code == 1001
        assert state(it.ws) is State.CLOSING
        it.server.end()


async def test_a_broken_pipe_while_a_close_frame_waits_ends_it(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Server(0)) as it, trio.open_nursery() as nursery:
        await it.ws.send("a")
        nursery.start_soon(it.ws.close)
        it.server.feed(close())
        await settled()
        it.server.break_down()
        await trio.sleep(6)
        assert state(it.ws) is State.CLOSED
        assert it.ws.closed_cleanly


async def test_a_close_frame_among_bytes_kept_for_want_of_room_is_found() -> None:
    async with connected(limits=Limits(max_queued_messages=1)) as it:
        it.server.feed(text("one"), text("two"), close(1001))
        with trio.move_on_after(0.1):
            await it.link.read()
        it.server.end()
        await it.ws.close()
        assert it.ws.close_code == 1001


async def test_a_reason_is_cut_between_characters() -> None:
    async with connected() as it:
        with trio.move_on_after(0):
            await it.ws.close(1000, "ä" * 100)
        assert it.link.leaving.sent_close == (1000, "ä" * 61)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_a_code_that_may_not_be_sent_is_a_value_error(code: int) -> None:
    async with connected() as it:
        with pytest.raises(ValueError, match="must not be sent"):
            await it.ws.close(code)
        with pytest.raises(TypeError):
            await it.ws.close(1000, b"why")  # type: ignore[arg-type]


async def test_abort_resets() -> None:
    async with connected() as it:
        it.ws.abort()
        assert it.server.closed_by_reset
        assert state(it.ws) is State.CLOSED
        with pytest.raises(ConnectionClosed, match="aborted") as caught:
            await it.ws.receive()
        assert not caught.value.peer_first
        with pytest.raises(ConnectionClosed, match="aborted"):
            await it.ws.send("x")
        await it.ws.close()


async def test_aborting_from_another_thread_is_refused_and_changes_nothing() -> None:
    async with connected() as it:
        with pytest.raises(RuntimeError, match="thread"):
            await trio.to_thread.run_sync(it.ws.abort)
        assert state(it.ws) is State.OPEN
        it.server.feed(text("still here"))
        assert await it.ws.receive() == "still here"


async def test_reading_after_the_end_does_nothing() -> None:
    async with connected() as it:
        it.ws.abort()
        it.server.feed(text("late"))
        await it.link.read()
        it.link.take_in()
        it.link.sender.overflowed()
        assert not it.link.messages
