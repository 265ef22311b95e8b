"""The invariants, over real sockets: bad input is answered, and logged in one line (9)."""

import logging

import pytest

import wsframe
from tests.hostile.place import until
from tests.recorder import Echo, Recorder
from tests.wire import BINARY, PING, TEXT, ask, close, connected, frame, head, serving, status, text
from wsframe import Limits
from wsframe.net.poller import PollerName

BAD_REQUESTS = {
    "garbage": (b"\x16\x03\x01\0\0\0\r\n\r\n", 400),
    "no host": (head("/").replace(b"Host: localhost\r\n", b""), 400),
    "foreign host": (head("/", {"Host": "evil.example"}), 400),
    "bad key": (head("/", {"Sec-WebSocket-Key": "short"}), 400),
    "unknown path": (head("/unknown"), 404),
    "post": (head("/").replace(b"GET", b"POST"), 405),
    "no upgrade": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
    "old version": (head("/", {"Sec-WebSocket-Version": "8"}), 426),
    "foreign origin": (head("/", {"Origin": "http://evil.example"}), 403),
}


@pytest.mark.parametrize("request_", BAD_REQUESTS)
async def test_invariant_9_bad_request_gets_a_status_a_reason_and_one_log_line(
    request_: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, expected = BAD_REQUESTS[request_]
    room = Echo()
    async with serving(room) as server:
        with caplog.at_level(logging.INFO, "wsframe"):
            answer = await ask(server, data)
        lines = [record for record in caplog.records if "refused" in record.getMessage()]
        assert [(record.levelno, f"with {expected}" in record.getMessage()) for record in lines] == [
            (logging.INFO, True)
        ]
        assert answer.startswith(f"HTTP/1.1 {expected} ".encode())
        assert answer.partition(b"\r\n\r\n")[2].strip().count(b"\n") == 0
        async with connected(server, trailing=text("x")) as peer:
            assert await peer.receive_text() == "x", "the next one is served"
    assert room.notes[0] == "connected"


BAD_FRAMES = {
    "unknown opcode": (frame(3), 1002),
    "unknown control frame": (frame(11), 1002),
    "reserved bit": (b"\xc1" + text("x")[1:], 1002),
    "not masked": (b"\x81\x01x", 1002),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "message inside a message": (frame(TEXT, b"x", fin=False) + text("x"), 1002),
    "fragmented ping": (frame(PING, fin=False), 1002),
    "long ping": (frame(PING, bytes(126)), 1002),
    "close of one byte": (frame(8, b"\x03"), 1002),
    "close with a forbidden code": (close(1006), 1002),
    "close with a bad reason": (frame(8, b"\x03\xe8\xff"), 1007),
    "bad utf-8": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "too big": (frame(BINARY, bytes(2000)), 1009),
}


@pytest.mark.parametrize("bad", BAD_FRAMES)
async def test_invariant_9_bad_frame_gets_a_close_code_and_one_log_line(
    bad: str, poller: PollerName, caplog: pytest.LogCaptureFixture
) -> None:
    data, code = BAD_FRAMES[bad]
    room = Echo()
    async with (
        serving(room, poller=poller, limits=Limits(max_message=1000)) as server,
        connected(server) as peer,
        connected(server) as bystander,
    ):
        with caplog.at_level(logging.INFO, "wsframe"):
            await peer.send(data, text("never heard"))
            assert (await peer.receive_close())[0] == code
            await room.journal.until(f"disconnected {code}")
            peer.reset()
            await until(lambda: any(f"closed {code}" in record.getMessage() for record in caplog.records))
        lines = [record for record in caplog.records if "closed" in record.getMessage()]
        assert [record.levelno for record in lines] == [logging.INFO]
        assert "text never heard" not in room.notes
        await bystander.send(text("x"))
        assert await bystander.receive_text() == "x"


async def test_invariant_9_validator_that_raises_refuses() -> None:
    def broken(request: wsframe.Request) -> bool:
        raise ZeroDivisionError

    registry = wsframe.Registry()
    registry.register("/", Recorder(), broken)
    async with wsframe.open_server(registry, port=0) as server:
        assert await status(server) == 403
