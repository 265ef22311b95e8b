"""A server that takes nothing: messages for it, as ciphertext too, are given up in time and hold up nobody."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.certificates import make_contexts
from tests.outgoing.memory import Ciphered, Server, close, connected, settled, state
from tests.outgoing.places import head_of, listening, upgrading
from tests.patience import PATIENCE
from tests.protocol import peer
from wsframe import ConnectionClosed, Limits, State, Timeouts, connect


@pytest.mark.parametrize("ended_by", ["stall", "abort", "reset", "end"])
async def test_ciphertext_that_waits_is_dropped_with_the_connection(
    ended_by: str, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(Ciphered(10), timeouts=Timeouts(write_stall=30, ping_interval=None)) as it:
        it.server.unacknowledged = 10
        await it.ws.send("a" * 100)
        await settled()
        if ended_by == "abort":
            it.ws.abort()
        elif ended_by == "reset":
            it.server.break_down()
        elif ended_by == "end":
            it.server.end()
        with pytest.raises(ConnectionClosed, match=r"write stall|connection lost|aborted"):
            await it.ws.receive()
        await trio.sleep(60)
        assert not it.link.sender.unsent
        assert state(it.ws) is State.CLOSED
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("noise", ["pings", "texts", "sends"])
async def test_a_server_that_takes_nothing_is_given_up_whatever_it_sends_or_we_do(
    secure: bool, noise: str, autojump_clock: trio.testing.MockClock
) -> None:
    server = Ciphered(10) if secure else Server(10)
    server.unacknowledged = 10
    timeouts = Timeouts(write_stall=30, ping_interval=None)
    async with connected(server, timeouts=timeouts, limits=Limits(max_queued_messages=1000)) as it:
        await it.ws.send("a" * 100)
        for _ in range(40):
            if noise == "sends":
                try:
                    await it.ws.send("b")
                except ConnectionClosed:
                    break
            else:
                it.server.feed(peer.frame(peer.PING if noise == "pings" else peer.TEXT, b"", mask=None))
            await trio.sleep(1)
        assert state(it.ws) is State.CLOSED
        assert it.ws.close_reason == "write stall"


@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_takes_little_is_let_be(secure: bool, autojump_clock: trio.testing.MockClock) -> None:
    server = Ciphered(10) if secure else Server(10)
    server.unacknowledged = 10
    async with connected(server, timeouts=Timeouts(write_stall=30, ping_interval=None)) as it:
        await it.ws.send("a" * 100)
        for _ in range(12):
            await trio.sleep(25)
            it.server.take(10)
        await settled()
        assert it.server.received() == ["a" * 100]
        assert state(it.ws) is State.OPEN


async def test_the_server_has_its_time_to_answer_once_our_close_frame_has_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected(Server(0), timeouts=Timeouts(close=5)) as it, trio.open_nursery() as nursery:
        await it.ws.send("a" * 100)
        nursery.start_soon(it.ws.close)
        await trio.sleep(4)
        it.server.take(2**40)
        await trio.sleep(4)
        it.server.feed(close())
        it.server.end()
    assert it.ws.closed_cleanly


@pytest.mark.parametrize("then", ["sleep", "reset"])
async def test_a_tls_server_that_stops_reading_holds_up_nobody(then: str) -> None:
    """Real sockets: the kernel takes no more ciphertext, and then the server goes, or is given up."""
    theirs, ours = make_contexts()
    blocked = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, theirs, server_side=True)
        await secure.send_all(upgrading()(await head_of(secure)))
        await blocked.wait()
        if then == "reset":  # unread bytes make closing a reset
            stream.socket.close()
            return
        await trio.sleep_forever()

    async def send_on(port: int) -> None:
        options = {"limits": Limits(max_outbox=100_000), "timeouts": Timeouts(write_stall=stall, close=1)}
        async with connect(f"wss://127.0.0.1:{port}/", ssl_context=ours, **options) as ws:  # type: ignore[arg-type]
            while True:
                with trio.move_on_after(0.2) as waiting:
                    await ws.send(bytes(50_000))
                if waiting.cancelled_caught:
                    blocked.set()

    stall = 0.1 if then == "sleep" else 60
    async with listening(serve) as port:
        with pytest.raises(ConnectionClosed), trio.fail_after(PATIENCE):
            await send_on(port)
