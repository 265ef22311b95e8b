"""The bytes counted for waiting entries are within twice of their memory, whatever the size of a message."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.kernel import Rig
from tests.links import Language, Links, languages, running_in
from tests.local_server import local_server_of
from tests.wire import BINARY, PING, PONG, TEXT, connected, frame, serving
from wsframe.connection.memory_budget import MESSAGE_COST
from wsframe.connection.outbox import Outbox
from wsframe.limits import Limits
from wsframe.protocol.frames import control_frame, data_frame, data_frames

COUNT = 600


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Give a function that returns how many bytes have been allocated since, and not freed."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def blocked(rig: Rig) -> Outbox:
    rig.outbox.put(bytes(data_frame(TEXT, b"begun")))
    rig.kernel.script = [1, 0]
    rig.outbox.flush()
    return rig.outbox


PUTS: dict[str, Callable[[Outbox, int, bytes], object]] = {
    "message": lambda outbox, number, payload: outbox.put(data_frame(BINARY, payload)),
    "message with a key": lambda outbox, number, payload: outbox.put_latest(number, data_frame(BINARY, payload)),
    "message with a text for a key": lambda outbox, number, payload: outbox.put_latest(
        f"key {number}", data_frame(BINARY, payload)
    ),
    "fragments": lambda outbox, number, payload: outbox.put_run(data_frames(BINARY, payload, 1 + len(payload) // 3)),
    "ping": lambda outbox, number, payload: outbox.put_urgent(control_frame(PING, payload[:125])),
}


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("what", PUTS)
@pytest.mark.parametrize("size", [0, 1, 7, 30, 125, 1000, 70_000])
async def test_frames_take_no_more_than_twice_of_what_is_counted(language: Language, what: str, size: int) -> None:
    outbox = blocked(Rig())
    count = COUNT if size < 10_000 else 50
    with running_in(language), traced() as taken:
        for number in range(count if what != "ping" else COUNT // 4):
            PUTS[what](outbox, number + 1000, bytes(bytearray(size)))
        assert taken() <= 2 * outbox.weight
        # Nor is a message refused for memory that it does not take; a short key is counted as a long one. An empty
        # frame that Python makes is one object for all, counted for each that waits as a broadcast's is.
        if data_frame(BINARY, b"") is not data_frame(BINARY, b"") or size:
            assert outbox.weight <= 3 * taken()
    assert outbox._flusher.budget.held == outbox.weight


async def test_empty_messages_fill_an_outbox() -> None:
    rig = Rig(limit=1024 * 1024)
    outbox = blocked(rig)
    rig.kernel.script = [0] * 10
    queued = 0
    while outbox.put(bytes(data_frame(TEXT, b""))):
        queued += 1
    assert 10_000 < queued < 20_000
    assert rig.link.told[-1] == "overflowed"


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize(
    ("opcode", "payload"),
    [
        (TEXT, b""),
        (TEXT, b"a"),
        (TEXT, b"some words"),
        (TEXT, "grüß".encode()),
        (TEXT, ("x" * 300 + "\U0001f600").encode()),
        (BINARY, b""),
        (BINARY, b"x" * 1000),
        (PONG, b""),
        (PONG, b"x" * 125),
    ],
)
async def test_messages_take_no_more_than_twice_of_what_is_counted(
    language: Language, opcode: int, payload: bytes
) -> None:
    limits = Limits(max_queued_messages=COUNT, max_queued_bytes=1 << 30)
    with running_in(language):
        links = Links(language)
        peer = links.open(limits)
        with traced() as taken:
            for _ in range(COUNT // 50):
                peer.sock.send(frame(opcode, payload) * 50)
                while peer.inbox.waiting % 50 or not peer.inbox.waiting:
                    links.settle()
                links.settle()
            assert peer.inbox.waiting == COUNT
            assert taken() <= 2 * peer.inbox.byte_count
        assert links.reactor.budget.held == peer.inbox.byte_count
        links.close()


async def test_posts_are_counted_until_they_are_taken() -> None:
    class Slow(wsframe.Resource):
        def __init__(self) -> None:
            self.release = trio.Event()

        async def received_custom(self, message: object) -> None:
            await self.release.wait()

    resource = Slow()
    async with serving(resource, timeouts=wsframe.Timeouts(drain=0.1)) as server, connected(server):
        for number in range(10):
            assert resource.post(number)
        await wait_all_tasks_blocked()
        assert server.statistics().bytes_waiting == 9 * MESSAGE_COST
        resource.release.set()
        await wait_all_tasks_blocked()
        assert server.statistics().bytes_waiting == 0
        resource.release = trio.Event()
        posts = ("first", "a" * 1000, b"a" * 1000, "\U0001f600" * 1000, ["a" * 1000])
        for message in posts:
            assert resource.post(message)
        await wait_all_tasks_blocked()
        counted = server.statistics().bytes_waiting - 4 * MESSAGE_COST
        assert 6000 <= counted <= 6100, "text, bytes, and four bytes for each character"
        budget = local_server_of(server).reactor.budget
    assert budget.held == 0


async def test_what_a_server_tells_to_wait_is_what_counts(autojump_clock: MockClock) -> None:
    class Stuck(wsframe.Resource):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            await trio.sleep_forever()

    resource = Stuck()
    async with serving(resource) as server, connected(server) as peer:
        await peer.send(*[frame(TEXT, b"")] * 11)
        while server.statistics().messages_received < 11:  # noqa: ASYNC110
            await trio.sleep(0.1)
        assert server.statistics().bytes_waiting in (11 * MESSAGE_COST, 10 * MESSAGE_COST)
