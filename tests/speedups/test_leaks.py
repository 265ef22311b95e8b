"""C leaves nothing behind: neither memory nor references, whatever becomes of a link."""

from __future__ import annotations

import gc
import importlib.util
import socket
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
import trio

from tests.links import Links, Peer, running_in
from tests.wire import BINARY, CLOSE, PING, TEXT, frame, text
from wsframe import speedups
from wsframe.connection.flusher import flush_failed
from wsframe.limits import Limits
from wsframe.protocol.close import State
from wsframe.protocol.frames import LargeFrame, data_frame

pytestmark = pytest.mark.usefixtures("in_c")

FROM_C: dict[str, Any] = dict(speedups.FROM_C)

ROUNDS = 60
# Far below one of each per round; measured: 0 to 6 blocks and 0 to 3 KiB.
FEW_BLOCKS = ROUNDS // 2
FEW_BYTES = 16 * 1024

LARGE = frame(BINARY, b"x" * 100_000)
LARGE_TEXT = text("größer " * 15_000)
BAD_TEXT = frame(TEXT, b"x" * 70_000 + b"\xff" + b"x" * 70_000)
VAST = 10**15
SHARED = (None, True, False, State.OPEN, LargeFrame, RuntimeError, flush_failed, b"", "", VAST)
"""Objects to which nearly every call takes a reference; before 3.12 that of None can be counted, too."""


def unmask() -> None:
    FROM_C["unmask"](b"x" * 1000, b"mask")
    refused("unmask", b"x", b"")
    payload = bytearray(b"x")
    refused("unmask", payload, "mask")
    payload.append(0)  # which nobody may do while C has hold of it
    refused("unmask", "", b"mask")


def frames() -> None:
    for size in (0, 10, 1000, 70_000):
        FROM_C["data_frame"](TEXT, b"x" * size)
    refused("data_frame", TEXT, "text")
    refused("data_frame", "1", b"text")


def lane() -> None:
    stream = bytearray(text("ascii") + text("größer") + LARGE + LARGE_TEXT)
    FROM_C["read_messages"](stream, 0, 10, 1 << 30, True, [])
    FROM_C["read_messages"](bytearray(text("good") + BAD_TEXT), 0, 10, 1 << 30, True, [])
    FROM_C["read_messages"](stream[:-1], 0, 10, 1 << 30, True, [])
    refused("read_messages", stream, -1, 10, 1, True, [])
    refused("read_messages", stream, 0, "10", 1, True, [])
    pieces = frame(TEXT, b"one", fin=False) + frame(0, b"two", fin=False) + frame(0, b"three")
    FROM_C["gather_fragments"](pieces, 0, bytearray(), False, 10, 1 << 30, 1 << 30, True)
    FROM_C["gather_fragments"](pieces, 0, bytearray(), False, 10, 1 << 30, 5, True)
    refused("gather_fragments", pieces, -1, bytearray(), False, 10, 10, 10, True)
    refused("gather_fragments", pieces, 0, b"", False, 10, 10, 10, True)


def module() -> None:
    """Load the extension again, and have it find the objects it keeps."""
    spec = importlib.util.find_spec("wsframe.speedups.native")
    assert spec is not None
    assert spec.loader is not None
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    another.data_frame(TEXT, b"x" * 70_000)
    another.receive_ready([], {}, bytearray(1), 0.0)
    with patch("wsframe.connection.flusher.logger"), suppress(AttributeError):
        another.send_whole([object()])


def refused(name: str, *args: object) -> None:
    try:
        FROM_C[name](*args)
    except (TypeError, ValueError):
        return
    pytest.fail("not refused")


def messages(links: Links) -> None:
    peer = links.open(Limits(max_queued_messages=VAST, max_queued_bytes=VAST))
    peer.take()
    for data in (text("ascii") * 20, text("größer"), frame(BINARY, b""), frame(PING), text("a")[:3], text("a")[3:]):
        peer.send(data)
    peer.take_all()


def read_by_python(links: Links) -> None:
    """Messages, one of them refused, that come as over TLS."""
    peer = links.open()
    peer.link.raw_fd = -1
    for data in (text("text") * 3, frame(BINARY, b"bytes" * 30), text("first") + frame(PING)):
        peer.send(data)
        peer.take()


def large(links: Links) -> None:
    peer = links.open()
    for data in (LARGE, LARGE_TEXT):
        for at in range(0, len(data), 30_000):
            peer.send(data[at : at + 30_000])
        peer.take_all()


def begun(links: Links) -> None:
    """Ends in the middle of messages: in order, by a reset, by us."""
    for data in (b"", LARGE[:14], LARGE[:90_000], LARGE_TEXT[:90_000], LARGE[:5]):
        for end in (shut, reset, close, abort):
            peer = links.open()
            peer.send(data)
            end(peer)
            links.settle()
            peer.take_all()
            assert peer.link.closing.ended is not None or end is close


def shut(peer: Peer) -> None:
    peer.sock.shutdown(socket.SHUT_WR)


def reset(peer: Peer) -> None:
    assert peer.link.transport.sock is not None
    peer.link.transport.sock.send(b"unread")
    peer.sock.close()


def close(peer: Peer) -> None:
    peer.link.close(1000, "")


def abort(peer: Peer) -> None:
    peer.link.abort("over", mute=False)


def violations(links: Links) -> None:
    for data in (BAD_TEXT, frame(3), frame(CLOSE, b"x"), LARGE[:1] + b"\0"):
        peer = links.open()
        peer.send(data)
        peer.take_all()


def full_shares(links: Links) -> None:
    peer = links.open(Limits(max_queued_messages=2, max_queued_bytes=100_000))
    for _ in range(3):
        peer.send(LARGE + text("a") * 5)
        peer.send(LARGE_TEXT + text("a") * 5)
        peer.take_all()
    links.reactor.budget.limit = 10
    peer.send(LARGE + text("a") * 5)
    peer.take_all()
    links.reactor.budget.limit = 1 << 40


def muted(links: Links) -> None:
    peer = links.open()
    peer.inbox.muted = True
    peer.send(LARGE + LARGE_TEXT + text("a") * 5)
    peer.take_all()


def rated(links: Links) -> None:
    peer = links.open(Limits(max_message_rate=1e9))
    peer.send(LARGE + LARGE_TEXT + text("a") * 5)
    peer.take_all()


class Bell:
    """A doorbell that raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def ring(self, **_: object) -> None:
        raise self.error


def faults(links: Links) -> None:
    for data in (text("a"), LARGE):
        for bell in (Bell(RuntimeError), Bell(KeyboardInterrupt)):
            peer = links.open()
            peer.take()
            peer.send(data[:20] if data is LARGE else b"")
            peer.sock.send(data[20:] if data is LARGE else data)
            with (
                patch.object(peer.place.mailbox, "doorbell", bell),
                patch.object(type(peer.link.closing), "note"),
                suppress(KeyboardInterrupt),
            ):
                FROM_C["receive_ready"]([(peer.link.fd, 1)], {peer.link.fd: peer.link}, links.reactor.loop.buffer, 0.0)
            peer.link.lost()
            peer.take()
    for error in (RuntimeError, KeyboardInterrupt):
        peer = links.open()
        assert peer.link.transport.sock is not None
        peer.link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        peer.link.outbox.put(data_frame(TEXT, b"x" * 1_000_000))
        with patch.object(type(peer.link.sender), "blocked", Bell(error).ring), suppress(KeyboardInterrupt):
            links.reactor.flusher.flush()


def sending(links: Links) -> None:
    peers = [links.open(Limits(max_outbox=1 << 30)) for _ in range(3)]
    for peer in peers:
        assert peer.link.transport.sock is not None
        peer.link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    peers[2].sock.close()
    for sizes in ([10], [10, 10, 10], [20_000], [100_000], [10, 100_000], [1_000_000]):
        for peer in peers:
            for size in sizes:
                peer.link.outbox.put(data_frame(TEXT, b"x" * size))
        links.reactor.flusher.flush()
        for peer in peers[:2]:
            while peer.link.outbox.items:
                peer.read()
                peer.link.sender.writable()
            peer.sent = b""


def counts() -> tuple[int, int, list[int]]:
    gc.collect()
    return sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0], [sys.getrefcount(one) for one in SHARED]


def check(repeat: Callable[[], None]) -> None:
    """Check that nothing has grown by as much as one thing in every other round."""
    for _ in range(10):
        repeat()
    blocks, size, before = counts()
    for _ in range(ROUNDS):
        repeat()
    blocks_now, size_now, now = counts()
    assert blocks_now - blocks < FEW_BLOCKS
    assert size_now - size < FEW_BYTES
    check_references(before, now)


def check_references(before: list[int], now: list[int]) -> None:
    grown = {repr(one): more - less for one, more, less in zip(SHARED, now, before, strict=True)}
    assert all(abs(more) < FEW_BLOCKS for more in grown.values()), grown


@pytest.fixture(autouse=True)
def traced(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level("CRITICAL", "wsframe")  # log records are kept
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("repeat", [unmask, frames, lane])
def test_nothing_is_left_of_a_call(repeat: Callable[[], None]) -> None:
    check(repeat)


def test_nothing_is_kept_by_a_module_that_is_gone() -> None:
    """No blocks are counted: of any extension that is loaded anew, the interpreter keeps some."""
    module()
    before = counts()[2]
    for _ in range(ROUNDS):
        module()
    check_references(before, counts()[2])


@pytest.mark.parametrize(
    "live", [messages, read_by_python, large, begun, violations, full_shares, muted, rated, faults, sending]
)
def test_nothing_is_left_of_a_link(live: Callable[[Links], None]) -> None:
    async def main() -> None:
        def repeat() -> None:
            links = Links("c")
            live(links)
            links.close()
            for peer in links.peers:
                peer.take_all()
            assert links.reactor.budget.held == 0

        with running_in("c"):
            check(repeat)

    trio.run(main)
