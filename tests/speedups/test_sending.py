"""Outboxes in C when something goes wrong in the middle, and when C leaves them to Python."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import pytest

from tests.links import Links, Peer, running_in
from tests.wire import decode
from wsframe import speedups
from wsframe.connection.outbox import Outbox
from wsframe.limits import Limits
from wsframe.protocol.frames import TEXT, data_frame

pytestmark = pytest.mark.usefixtures("in_c")

FROM_C: dict[str, Any] = dict(speedups.FROM_C)


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    with running_in("c"):
        links = Links("c")
        yield links
        links.close()


def put(*peers: Peer, size: int = 10) -> list[Outbox]:
    """Queue a message for each; return the outboxes, which nothing flushes now."""
    for peer in peers:
        peer.link.outbox.put(data_frame(TEXT, b"x" * size))
        peer.links.reactor.flusher.dirty.clear()
    return [peer.link.outbox for peer in peers]


def small(peer: Peer) -> Peer:
    """Have the kernel take little at once."""
    assert peer.link.transport.sock is not None
    peer.link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    return peer


def all_sent(peer: Peer) -> list[int]:
    """Read everything; return the sizes of the messages."""
    outbox = peer.link.outbox
    while outbox.items:
        peer.read()
        peer.link.sender.writable()
    peer.read()
    assert outbox.bytes_sent == len(peer.sent)
    return [len(one.payload) for one in decode(peer.sent)]


@pytest.mark.parametrize("size", [10, 20_000, 70_000])
async def test_what_is_taken_whole_is_counted(links: Links, size: int) -> None:
    peer = links.open()
    (outbox,) = put(peer, size=size)
    waiting = outbox.byte_count
    assert FROM_C["send_whole"]([outbox]) == []
    assert (outbox.items, outbox.byte_count, outbox.bytes_sent) == ([], 0, waiting)
    assert all_sent(peer) == [size]


@pytest.mark.parametrize("size", [30_000, 70_000, 1_000_000])
async def test_an_outbox_listed_twice_sends_nothing_twice(links: Links, size: int) -> None:
    peer = small(links.open(Limits(max_outbox=1 << 30)))
    (outbox,) = put(peer, size=size)
    left = FROM_C["send_whole"]([outbox, outbox])
    assert outbox.blocked
    assert left == [outbox]
    outbox.flush()
    assert all_sent(peer) == [size]


async def test_an_outbox_that_something_hinges_on_is_left_to_python(links: Links) -> None:
    changes: tuple[tuple[str, object], ...] = (
        ("blocked", True),
        ("shut", True),
        ("drained", object()),
        ("_latest", {}),
        ("_offset", 1),
    )
    for name, value in changes:
        peer = links.open()
        (outbox,) = put(peer)
        before = getattr(outbox, name)
        setattr(outbox, name, value)
        assert FROM_C["send_whole"]([outbox]) == [outbox]
        setattr(outbox, name, before)
        assert all_sent(peer) == [10]


async def test_frames_that_do_not_go_into_one_call_are_left_to_python(links: Links) -> None:
    for sizes in ([10_000, 10_000], [70_000, 10], [10, 70_000]):
        peer = links.open()
        for size in sizes:
            put(peer, size=size)
        assert FROM_C["send_whole"]([peer.link.outbox]) == [peer.link.outbox]
        assert all_sent(peer) == sizes


async def test_a_peer_that_is_gone_is_left_to_python(links: Links) -> None:
    peer, other = links.open(), links.open()
    peer.sock.close()
    outboxes = put(peer, other)
    assert FROM_C["send_whole"](outboxes) == [outboxes[0]]
    assert all_sent(other) == [10]


async def test_a_fault_in_sending_costs_one_connection_and_is_logged(
    links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    peer, other = small(links.open()), links.open()
    outboxes = put(peer, other, size=60_000)
    with patch.object(type(peer.link.sender), "blocked", side_effect=RuntimeError("a fault")):
        assert FROM_C["send_whole"](outboxes) == []
    assert (outboxes[0].items, outboxes[0].shut) == ([], True)
    assert all_sent(other) == [60_000]
    (record,) = caplog.records
    assert record.getMessage().startswith("could not send: <Sender of <Link 127.0.0.1:1 /")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a fault"


async def test_what_is_no_fault_of_a_connection_passes(links: Links) -> None:
    peer = small(links.open())
    outboxes = put(peer, size=60_000)
    with (
        patch.object(type(peer.link.sender), "blocked", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        FROM_C["send_whole"](outboxes)
