"""Sending and receiving, against a server in memory."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import wsframe
from tests.outgoing.memory import close, connected, settled, text
from tests.protocol import peer
from wsframe import ConnectionClosed, Limits
from wsframe.outgoing.link import RECEIVE_BUFFER

# Iterating and receiving


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_iterating_ends_with_a_close_in_order(code: int | None) -> None:
    async with connected() as it:
        it.server.feed(text("one"), text("two"), close(code))
        assert [message async for message in it.ws] == ["one", "two"]


@pytest.mark.parametrize("code", [1002, 1011, 1012, 4000])
async def test_iterating_raises_for_any_other_code(code: int) -> None:
    async with connected() as it:
        it.server.feed(text("one"), close(code, "sorry"))
        assert await anext(it.ws) == "one"
        with pytest.raises(ConnectionClosed, match=rf"^the peer closed with code {code} 'sorry'; we answered$"):
            await anext(it.ws)


async def test_iterating_raises_for_an_end_without_a_close_frame() -> None:
    async with connected() as it:
        it.server.feed(text("one"))
        it.server.end()
        assert await anext(it.ws) == "one"
        with pytest.raises(ConnectionClosed, match=r"^connection lost$"):
            await anext(it.ws)


async def test_iterating_ends_where_we_closed_whatever_our_code() -> None:
    async with connected() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ws.close, 4000)
        await settled()
        it.server.feed(close(4000))
        it.server.end()
        assert [message async for message in it.ws] == []


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        (peer.frame(peer.TEXT, b"masked"), 1002, "a frame with a mask"),
        (peer.frame(peer.TEXT, b"\xff", mask=None), 1007, "invalid UTF-8"),
        (peer.announce(peer.BINARY, 2**40, mask=None), 1009, "message too big"),
        (peer.frame(peer.TEXT, b"x", reserved=4, mask=None), 1002, "reserved bits are set"),
    ],
)
async def test_a_violation_is_answered_behind_our_replies(frame: bytes, code: int, reason: str) -> None:
    async with connected() as it:
        it.server.feed(text("good"), frame)
        assert await it.ws.receive() == "good"
        await it.ws.send("reply")
        with pytest.raises(ConnectionClosed) as caught:
            await it.ws.receive()
        assert it.server.received() == ["reply", ("close", code)]
        assert (caught.value.received, caught.value.sent) == (None, (code, reason))
        assert caught.value.reason == reason
        assert (it.ws.close_code, it.ws.closed_cleanly) == (code, False)


LARGE = Limits(max_message=2**22)


async def test_a_large_message_is_read_to_its_end_without_waiting_in_between() -> None:
    async with connected(limits=LARGE) as it:
        it.server.feed(peer.frame(peer.BINARY, bytes(3 * RECEIVE_BUFFER), mask=None), text("behind"))
        it.link.take_in()
        assert it.link.messages.popleft() == bytes(3 * RECEIVE_BUFFER)


async def test_others_have_their_turn_while_a_large_message_is_read() -> None:
    async with connected(limits=LARGE) as it:
        it.server.feed(peer.frame(peer.BINARY, bytes(20 * RECEIVE_BUFFER), mask=None))
        arrived = it.server.unread
        it.link.take_in()
        assert arrived - it.server.unread == 8 * RECEIVE_BUFFER
        assert await it.ws.receive() == bytes(20 * RECEIVE_BUFFER)


async def test_no_more_than_one_read_is_held_of_small_messages() -> None:
    async with connected() as it:
        it.server.feed(text("small") * RECEIVE_BUFFER)
        arrived = it.server.unread
        it.link.take_in()
        assert arrived - it.server.unread == RECEIVE_BUFFER


async def test_an_end_within_a_large_message_is_noticed() -> None:
    async with connected(limits=LARGE) as it:
        it.server.feed(peer.frame(peer.BINARY, bytes(2 * RECEIVE_BUFFER), mask=None)[:RECEIVE_BUFFER])
        it.server.end()
        it.link.take_in()
        with pytest.raises(ConnectionClosed, match="connection lost"):
            await it.ws.receive()


async def test_only_one_task_may_receive() -> None:
    async with connected() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ws.receive)
        await settled()
        with pytest.raises(trio.BusyResourceError):
            await it.ws.receive()
        it.server.feed(text("x"))


async def test_a_busy_receiver_and_sender_let_others_run() -> None:
    async with connected() as it, trio.open_nursery() as nursery:
        ran = 0

        async def count() -> None:
            nonlocal ran
            while True:
                await trio.lowlevel.checkpoint()
                ran += 1

        nursery.start_soon(count)
        it.server.feed(*[text("x")] * 200)
        for _ in range(200):
            await it.ws.send("x")
            await it.ws.receive()
        assert ran >= 20
        nursery.cancel_scope.cancel()


async def test_every_call_can_be_cancelled() -> None:
    async with connected() as it:
        it.server.feed(text("x"))
        for call in (it.ws.receive, it.ws.ping, lambda: it.ws.send("x"), it.ws.close):
            with trio.CancelScope() as scope:
                scope.cancel()
                await call()
            assert scope.cancelled_caught


# Messages that can be sent


async def test_text_and_bytes_may_be_sent_in_all_their_forms() -> None:
    async with connected() as it:
        await it.ws.send_text("ä")
        await it.ws.send_text("ö".encode())
        await it.ws.send_binary(bytearray(b"1"))
        await it.ws.send(memoryview(b"2"))
        await it.ws.send("ü")
        await it.ws.send_text("fragments", frame_size=2)
        assert it.server.received() == ["ä", "ö", b"1", b"2", "ü", "fragments"]


async def test_wrong_messages_are_refused() -> None:
    async with connected() as it:
        for wrong in (it.ws.send_text(1), it.ws.send_binary("x"), it.ws.send(None)):  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"message must be .*bytes, bytearray or memoryview, not"):
                await wrong
        with pytest.raises(ValueError, match="frame_size"):
            await it.ws.send_text("x", frame_size=0)
        with pytest.raises(UnicodeEncodeError):
            await it.ws.send("\ud800")
        assert it.server.taken == b""


async def test_reprs_name_server_and_state() -> None:
    async with connected() as it:
        assert repr(it.ws) == "<WebSocket ws://server.example/ open>"
        assert repr(it.link) == "<OutgoingLink ws://server.example/>"
        assert it.ws.extensions == ()
        assert it.ws.close_code is None
        assert it.ws.close_reason == ""


async def test_an_error_of_our_own_costs_the_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected() as it:
        monkeypatch.setattr(type(it.link.sender), "check_stall", lambda sender: 1 / 0)
        it.server.window = 0
        await it.ws.send("x")
        with pytest.raises(ConnectionClosed, match="internal error"):
            await it.ws.receive()
        assert "internal error; the connection is aborted" in caplog.text


def test_the_exceptions_tell_what_happened() -> None:
    assert issubclass(wsframe.OpeningTimeout, OSError)
    assert issubclass(wsframe.InvalidURL, ValueError)
    closed = ConnectionClosed(None, None, peer_first=True)
    assert str(closed) == "connection lost"
    assert not closed.orderly
