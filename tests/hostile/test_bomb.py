"""A small message that inflates to a large one costs the message limit and no more."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import zlib

import pytest

import wsframe
from tests.client_frames import frame
from tests.patience import PATIENCE
from tests.wire import BINARY, CONTINUATION, FIN, RSV1, TEXT, connected, serving, text, until
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate, InflateExtension, Terms
from wsframe.protocol.events import Ended

MIB = 1 << 20
OFFER = "permessage-deflate; client_max_window_bits"
READ = 64 * 1024


def bomb(size: int = 64 * MIB) -> bytes:
    """Compress zeros, a thousand to one."""
    compressor = zlib.compressobj(9, wbits=-15)
    raw = b"".join(compressor.compress(bytes(MIB)) for _ in range(size // MIB))
    return raw + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


BOMB = bomb()


def burst(receiver: Decoder, raw: bytes) -> tuple[list[object], int]:
    """Feed bytes in reads; return the events, and the peak of memory allocated in the meantime."""
    data = [bytearray(raw[at : at + READ]) for at in range(0, len(raw), READ)]
    tracemalloc.start()
    try:
        events: list[object] = []
        for piece in data:
            events += receiver.receive(piece, 10)
            while receiver.stopped:
                events += receiver.receive(bytearray(), 10)
        return events, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_is_measured_is_what_zlib_allocates() -> None:
    tracemalloc.start()
    try:
        zlib.decompressobj(-15).decompress(BOMB, 8 * MIB)
        assert tracemalloc.get_traced_memory()[1] > 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("first", [BINARY, TEXT])
@pytest.mark.parametrize("limit", [64 * 1024, 4 * MIB])
@pytest.mark.parametrize("fragments", [1, 30])
def test_it_is_refused_before_it_has_cost_more_than_the_limit(
    takeover: bool, first: int, limit: int, fragments: int
) -> None:
    assert len(BOMB) < 70_000
    limits = filled(Limits(max_message=limit), DEFAULT_LIMITS)
    inflate = InflateExtension(Terms(15, 15, takeover, takeover, ""), limit)
    step = len(BOMB) // fragments + 1
    parts = [BOMB[at : at + step] for at in range(0, len(BOMB), step)]
    raw = b"".join(
        frame((CONTINUATION if at else RSV1 | first) | FIN * (at == len(parts) - 1), part)
        for at, part in enumerate(parts)
    )
    events, peak = burst(Decoder(limits, DEFAULT_TIMEOUTS, 0.0, inflate), raw)
    [ended] = events
    assert isinstance(ended, Ended)
    assert ended.code == 1009
    # One piece of the limit's size, and the copies of one read. In fragments, and where a turn is over before the
    # limit is reached, the earlier part is kept while the next is inflated, and the builder of a text takes its room.
    copies = 1.25 if fragments == 1 and limit < MIB else 2.5
    assert peak < copies * limit + 16 * READ


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module")
def test_the_process_does_not_grow() -> None:
    """As the kernel sees it, in a process of its own: no allocator hides anything from it."""
    program = """if True:
        import resource
        from tests.hostile.test_bomb import *
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        bytes = bytearray(frame(FIN | RSV1 | BINARY, BOMB))
        before = peak()
        for _ in range(20):
            inflate = InflateExtension(Terms(15, 15, True, True, ""), MIB)
            receiver = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, inflate)
            [ended] = receiver.receive(bytes[:], 10)
            assert ended.code == 1009
        print(peak() - before)
        """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert int(done.stdout) < 6 * MIB


class Greeting(wsframe.Resource):
    def __init__(self) -> None:
        self.departed: list[tuple[int | None, str]] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)

    async def disconnected(self, client: wsframe.Client) -> None:
        self.departed.append((client.close_code, client.close_reason))


async def test_a_server_closes_1009_and_serves_on() -> None:
    resource = Greeting()
    async with (
        serving(resource, deflate=Deflate.dedicated()) as server,
        connected(server, fields={"Sec-WebSocket-Extensions": OFFER}) as honest,
        connected(server, fields={"Sec-WebSocket-Extensions": OFFER}) as hostile,
    ):
        await hostile.send(text("one"), frame(FIN | RSV1 | TEXT, BOMB))
        assert await hostile.receive_message() == b"one"
        assert [one.code for one in await hostile.rest.frames(or_reset=True)] == [1009]
        await until(lambda: resource.departed)
        assert resource.departed == [(1009, "message too big")]
        await honest.send(text("still here"))
        assert await honest.receive_message() == b"still here"
