"""Frames that break RFC 6455: the right close code, one log line, and nobody else is affected."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.hostile.place import Place, Recorder, until
from tests.local_server import local_server_of
from tests.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from wsframe import Limits
from wsframe.testing import open_kit

Lines = Callable[[], list[str]]

LIMITS = Limits(max_message=1000, max_frame=500, max_fragments=5)

VIOLATIONS = {
    "unmasked frame": (frame(TEXT, "x", mask=None), 1002),
    "reserved bit 1": (frame(TEXT, "x", first=0x40), 1002),
    "reserved bit 2": (frame(TEXT, "x", first=0x20), 1002),
    "reserved bit 3": (frame(BINARY, "x", first=0x10), 1002),
    "reserved bit on a ping": (frame(PING, "x", first=0x40), 1002),
    "reserved opcode 3": (frame(3, "x"), 1002),
    "reserved opcode 11": (frame(11, "x"), 1002),
    "bad UTF-8": (frame(TEXT, b"\xc3\x28"), 1007),
    "UTF-8 surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "UTF-8 cut short": (frame(TEXT, b"\xe2\x82"), 1007),
    "UTF-8 bad at once": (frame(TEXT, b"\xff", fin=False), 1007),
    "frame too big": (frame(TEXT, "x" * 501), 1009),
    "frame too big, by its header": (frame(BINARY, b"", length=501), 1009),
    "frame of 2**62": (frame(BINARY, b"", length=2**62), 1009),
    "message too big": (frame(TEXT, "x" * 400, fin=False) + frame(CONTINUATION, "x" * 400, fin=False) * 2, 1009),
    "too many fragments": (frame(TEXT, "", fin=False) + frame(CONTINUATION, "", fin=False) * 5, 1009),
    "stray continuation": (frame(CONTINUATION, "x"), 1002),
    "stray continuation, unfinished": (frame(CONTINUATION, "x", fin=False), 1002),
    "interleaved message": (frame(TEXT, "a", fin=False) + frame(TEXT, "b"), 1002),
    "fragmented ping": (frame(PING, "x", fin=False), 1002),
    "long ping": (frame(PING, "x" * 126), 1002),
    "long length for a short frame": (b"\x81\xfe\x00\x05" + bytes(9), 1002),
    "very long length for a short frame": (b"\x81\xff" + (500).to_bytes(8, "big") + bytes(504), 1002),
    "length above 63 bits": (b"\x82\xff\xff" + bytes(11), 1002),
    "close with one byte": (frame(CLOSE, b"\x03"), 1002),
    "close 1005": (frame(CLOSE, close_payload(1005)), 1002),
    "close 999": (frame(CLOSE, close_payload(999)), 1002),
    "close 5000": (frame(CLOSE, close_payload(5000)), 1002),
    "close reason not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
async def test_violation_is_closed_with_its_code_behind_the_good_replies(
    plain: Place, info: Lines, data: bytes, code: int, whole: bool
) -> None:
    resource = Recorder()
    async with plain.serve(resource, limits=LIMITS) as served:
        bystander, peer = await served.open(), await served.open()
        good = frame(TEXT, "one") + frame(TEXT, "tw", fin=False) + frame(PONG) + frame(CONTINUATION, "o")
        if whole:
            await peer.send(good, data, frame(TEXT, "never"))
        else:
            await peer.send(good)
            rest = data + frame(TEXT, "never")
            step = 1 + len(rest) // 500
            with suppress(trio.BrokenResourceError):
                for at in range(0, len(rest), step):
                    await peer.send(rest[at : at + step])
        assert await peer.rest.until_close() == (["one", "two"], code)
        await resource.until(lambda: f"-{code}" in resource.log)
        assert resource.log == ["+", "+", "one", "two", f"-{code}"]
        assert resource.arrived[1].closed_cleanly is False
        name = peer.name
        peer.hang_up()
        await until(info)
        lines = [line for line in info() if line.startswith(name)]
        assert len(lines) == 1
        assert f"closed {code}" in lines[0]
        await bystander.text("still here")
        assert await bystander.message() == "still here"
        assert info() == lines


@pytest.mark.parametrize("name", ["unmasked frame", "bad UTF-8", "frame too big", "interleaved message"])
async def test_violation_over_tls_too(secure: Place, name: str) -> None:
    data, code = VIOLATIONS[name]
    async with secure.serve(Recorder(), limits=LIMITS) as served:
        peer = await served.open()
        await peer.send(frame(TEXT, "one"), data)
        assert await peer.rest.until_close() == (["one"], code)
        peer.half_close()
        assert await peer.end() == "fin"


async def test_what_is_within_the_limits_passes(plain: Place) -> None:
    """Limits are bytes, and a value equal to a limit passes; control frames do not count."""
    async with plain.serve(Recorder(), limits=LIMITS) as served:
        peer = await served.open()
        await peer.send(frame(TEXT, "\u00e9" * 250))
        assert await peer.message() == "\u00e9" * 250
        pieces = [frame(TEXT, "x" * 500, fin=False), frame(PING, "p" * 125), frame(CONTINUATION, "y" * 500)]
        await peer.send(*pieces)
        assert await peer.message() == "x" * 500 + "y" * 500
        await peer.send(frame(TEXT, fin=False), frame(CONTINUATION, fin=False) * 3, frame(CONTINUATION, "end"))
        assert await peer.message() == "end"


async def test_silence_after_a_violation_ends_all_the_same(autojump_clock: MockClock) -> None:
    """The peer neither reads nor closes: it is gone when its time to do so is over."""
    resource = Recorder()
    async with open_kit(resource) as kit:
        client = await kit.connect()
        client.stall()
        client.end_tcp = False
        client.send_bytes(frame(3))
        await resource.until(lambda: "-1002" in resource.log)
        start = trio.current_time()
        await trio.sleep(4.9)
        assert kit.server.clients == 1
        await trio.sleep(0.2)
        assert kit.server.clients == 0
        client.resume()
        assert (await client.closed()).code == 1002
        assert trio.current_time() - start == pytest.approx(5.1)


async def test_endless_data_after_a_violation_is_not_kept(plain: Place) -> None:
    resource = Recorder()
    async with plain.serve(resource) as served:
        peer = await served.open()
        await peer.send(frame(3))
        assert await peer.rest.until_close() == ([], 1002)
        for _ in range(100):
            await peer.send(bytes(65536))
        link = next(iter(local_server_of(served.server).reactor.links.values()))
        assert not link.connection.undecoded
        peer.half_close()
        assert await peer.end() == "fin"
