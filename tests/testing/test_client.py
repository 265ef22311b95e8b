"""A client in memory for a test: polite by itself, slow, stalled or rude on demand."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.recorder import Echo, Recorder
from wsframe import Deflate, Limits, Timeouts
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.testing import ClientClosed, Frame, Refused, open_client, open_kit
from wsframe.testing.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

LARGE = "x" * 300_000


@pytest.mark.parametrize("deflate", [None, Deflate.shared(threshold=0), Deflate.dedicated(threshold=0)])
async def test_messages_go_both_ways_with_compression_and_without(
    autojump_clock: MockClock, deflate: Deflate | None
) -> None:
    async with open_client(Echo(), deflate=deflate) as client:
        assert client.extensions.startswith("permessage-deflate") == (deflate is not None)
        for _ in range(3):
            client.send_text("hello " * 50)
            client.send_binary(bytes(1000))
            frame = await client.receive_frame()
            assert (frame.opcode, frame.rsv1) == (TEXT, deflate is not None)
            assert (frame.payload == b"hello " * 50) == (deflate is None)
            assert await client.receive_binary() == bytes(1000)
        client.send_text(LARGE)
        assert await client.receive_text() == LARGE


async def test_json_goes_both_ways_as_text(autojump_clock: MockClock) -> None:
    async with open_client(Echo()) as client:
        client.send_json({"to": ["ann", None], "text": "häus"})
        assert await client.receive_json() == {"to": ["ann", None], "text": "häus"}
        client.send_text("not JSON")
        with pytest.raises(AssertionError, match="expected JSON, got 'not JSON'"):
            await client.receive_json()
        client.send_binary(b"{}")
        with pytest.raises(AssertionError, match="expected a text message"):
            await client.receive_json()


async def test_a_message_of_another_type_is_a_type_error(autojump_clock: MockClock) -> None:
    async with open_kit(Echo()) as kit:
        client = await kit.connect()
        with pytest.raises(TypeError, match="a text message is a str, not dict: see send_json"):
            client.send_text({"a": 1})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a binary message must be bytes"):
            client.send_binary("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="the body of a request is bytes, not dict"):
            await kit.request("/", method="POST", body={"a": 1})  # type: ignore[arg-type]


async def test_no_offer_gets_no_compression(autojump_clock: MockClock) -> None:
    async with open_client(Echo(), deflate=Deflate.shared(), extensions=None) as client:
        assert client.extensions == ""


async def test_message_of_the_other_kind_is_an_assertion(autojump_clock: MockClock) -> None:
    async with open_client(Echo()) as client:
        client.send_text("x")
        with pytest.raises(AssertionError, match="expected a binary message, got text: 'x'"):
            await client.receive_binary()
        client.send_binary(b"x")
        with pytest.raises(AssertionError, match="expected a text message, got binary: b'x'"):
            await client.receive_text()


async def test_frames_can_be_sent_and_received_one_by_one(autojump_clock: MockClock) -> None:
    async with open_client(Echo()) as client:
        client.send_frame(TEXT, b"hel", fin=False)
        client.ping(b"between")
        client.send_frame(CONTINUATION, b"lo")
        assert await client.receive_frame() == Frame(PONG, b"between")
        assert await client.receive_frame() == Frame(TEXT, b"hello")
        client.send_bytes(b"\x82\x81\0\0\0\0x")
        client.ping()
        assert await client.receive() == b"x", "control frames before a message are passed over"


async def test_what_is_here_can_be_taken_without_waiting(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room) as client:
        assert client.received() == []
        room.broadcast_text("one")
        room.broadcast_binary(b"two")
        await wait_all_tasks_blocked()
        assert client.received() == ["one", b"two"]
        assert client.received() == []


async def test_nothing_to_receive_is_too_slow_though_pings_come(autojump_clock: MockClock) -> None:
    async with open_client(Recorder(), patience=100) as client:
        start = trio.current_time()
        for wait in (client.receive, client.closed, client.receive_bytes):
            with pytest.raises(trio.TooSlowError):
                await wait()
        assert trio.current_time() - start == pytest.approx(300)


async def test_close_of_the_client_is_answered(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room) as client:
        client.close(4000, "enough")
        assert await client.closed() == (4000, "enough")
        assert (client.end, repr(client)) == ("eof", "<MemoryClient eof>")
        await room.journal.until("disconnected 4000")
        with pytest.raises(ClientClosed, match=r"^4000 enough$") as raised:
            await client.receive()
        assert (raised.value.code, raised.value.reason) == (4000, "enough")


async def test_close_without_a_code_is_1005(autojump_clock: MockClock) -> None:
    async with open_client(Recorder()) as client:
        client.close(None)
        assert await client.closed() == (1005, "")


async def test_close_of_the_server_is_answered_behind_the_messages(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room) as client:
        await room.journal.until("connected")
        room.only.send_text("last")
        room.only.close(3000, "bye")
        assert await client.closed() == (3000, "bye")
        assert await client.receive() == "last"
        assert (await client.receive_frame()).opcode == CLOSE
        with pytest.raises(ClientClosed):
            await client.receive_frame()
        await room.journal.until("disconnected 3000")


async def test_server_that_goes_without_a_close_frame_is_1006(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room) as client:
        await room.journal.until("connected")
        room.only.abort()
        assert (await client.closed(), client.end) == ((1006, ""), "reset")


async def test_what_no_server_may_send_fails_the_test(autojump_clock: MockClock) -> None:
    class Broken(Recorder):
        async def client_connected(self, client: wsframe.Client) -> None:
            client._outbox.put(b"\xf1\x00")

    with pytest.raises(AssertionError, match="reserved bits"):
        async with open_client(Broken()) as client:
            await client.receive()


async def test_pings_are_answered_unless_told_otherwise(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room, timeouts=Timeouts(ping_interval=10, ping_timeout=5)) as client:
        await trio.sleep(1000)
        assert room.notes == ["connected"]
        client.answer_pings = False
        start = trio.current_time()
        assert await client.closed() == (1006, "")
        assert 5 <= trio.current_time() - start <= 15
        assert room.notes == ["connected", "disconnected 1006"]


async def test_close_is_not_answered_if_told_so(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room, timeouts=Timeouts(close=3)) as client:
        client.answer_close = False
        await room.journal.until("connected")
        start = trio.current_time()
        room.only.close(1001)
        assert await client.closed() == (1001, "")
        assert (client.end, trio.current_time() - start) == ("reset", 3)
        await room.journal.until("disconnected 1006")


async def test_tcp_is_not_ended_if_told_so(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), timeouts=Timeouts(close=3)) as kit:
        client = await kit.connect()
        client.end_tcp = False
        client.close()
        assert await client.closed() == (1000, "")
        assert kit.server.clients == 1
        await trio.sleep(3.1)
        assert kit.server.clients == 0


async def test_stalled_client_takes_what_its_buffers_hold(autojump_clock: MockClock) -> None:
    room = Recorder()
    times = Timeouts(write_stall=30, ping_interval=None)
    async with open_client(room, buffer=10_000, timeouts=times) as client:
        client.stall()
        await room.journal.until("connected")
        theirs = room.only
        theirs.send_binary(bytes(100_000))
        await wait_all_tasks_blocked()
        assert theirs.statistics().bytes_waiting == 100_010 - 20_000 + FRAME_COST
        start = trio.current_time()
        assert await client.closed() == (1006, "")
        assert trio.current_time() - start == 30
        assert theirs.close_reason == "write stall"


async def test_stalled_client_that_resumes_has_missed_nothing(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room) as client:
        client.stall()
        await room.journal.until("connected")
        room.broadcast_text(LARGE)
        await trio.sleep(10)
        assert client.received() == []
        client.resume()
        assert await client.receive() == LARGE


@pytest.mark.parametrize("bytes_per_second", [5, 100])
async def test_slow_client_reads_so_much_a_second(autojump_clock: MockClock, bytes_per_second: float) -> None:
    room = Recorder()
    async with open_client(room, timeouts=Timeouts(ping_interval=None), patience=1000) as client:
        await room.journal.until("connected")
        client.slow_down(bytes_per_second)
        start = trio.current_time()
        room.broadcast_binary(bytes(498))  # and a header of 4
        await client.receive()
        assert trio.current_time() - start == pytest.approx(502 / bytes_per_second, abs=0.2)


async def test_slow_client_that_is_reset_knows_at_once_and_reads_what_it_has(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room) as client:
        await room.journal.until("connected")
        client.slow_down(1)
        room.broadcast_text("hi")
        await wait_all_tasks_blocked()
        room.only.abort()
        start = trio.current_time()
        assert await client.closed() == (1006, "")
        assert trio.current_time() == start
        client.resume()
        assert await client.receive() == "hi"


async def test_paused_server_leaves_bytes_unsent(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_client(room, limits=Limits(max_queued_messages=2)) as client:
        client.send_text("hold")
        await room.journal.until("text hold")
        for _ in range(100):
            client.send_text("x" * 10_000)
        await wait_all_tasks_blocked()
        assert 1_000_800 - 65_600 <= client.unsent <= 1_000_800
        room.release.set()
        await room.journal.until("text " + "x" * 10_000, 100)
        assert client.unsent == 0


@pytest.mark.parametrize("how", ["reset", "hang_up", "half_close"])
async def test_rude_ends_are_one_disconnected(autojump_clock: MockClock, how: str) -> None:
    room = Recorder()
    async with open_client(room) as client:
        client.send_text("last")
        getattr(client, how)()
        await room.journal.until("disconnected 1006")
        assert room.notes == ["connected", "text last", "disconnected 1006"]
        assert await client.closed() == (1006, "")
        client.send_text("nobody hears this")
        assert client.unsent == 0


async def test_garbage_is_a_close_code(autojump_clock: MockClock) -> None:
    async with open_client(Recorder()) as client:
        client.send_bytes(b"garbage, and not masked")
        assert (await client.closed()).code == 1002
    async with open_client(Recorder(), limits=Limits(max_message=10)) as client:
        client.send_frame(BINARY, bytes(11))
        assert (await client.closed()).code == 1009


async def test_subprotocol_origin_headers_and_address_are_as_given(autojump_clock: MockClock) -> None:
    class Curious(Recorder):
        subprotocols = ("b",)

        async def client_connected(self, client: wsframe.Client) -> None:
            request = client.request
            client.send_text(f"{client.host} {request.origin} {request.headers['X-Y']} {request.query_string}")

    async with open_client(
        Curious(),
        "/a?b=c",
        subprotocols=["a", "b"],
        origin="http://localhost",
        headers={"X-Y": "z"},
        address="10.0.0.1",
    ) as client:
        assert client.subprotocol == "b"
        assert await client.receive() == "10.0.0.1 http://localhost z b=c"


async def test_refusal_is_an_exception(autojump_clock: MockClock) -> None:
    with pytest.raises(Refused, match=r"^403: origin 'http://evil.example'") as raised:
        async with open_client(Recorder(), origin="http://evil.example"):
            pass
    assert raised.value.status == 403
    assert raised.value.headers["content-type"] == "text/plain; charset=utf-8"


async def test_ping_is_seen_as_a_frame(autojump_clock: MockClock) -> None:
    async with open_client(Recorder(), timeouts=Timeouts(ping_interval=7)) as client:
        assert (await client.receive_frame()).opcode == PING
        assert trio.current_time() == pytest.approx(7, abs=0.1)
