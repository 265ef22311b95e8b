"""Links and outboxes in C when something goes wrong in the middle, and when C leaves them to Python."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tests.links import CLOCK, Links, Peer, running_in
from tests.weight import cost_of
from tests.wire import BINARY, CLOSE, PING, TEXT, frame, text
from wsframe import speedups
from wsframe.connection.interfaces import CONNECTED
from wsframe.connection.memory_budget import MESSAGE_COST
from wsframe.limits import Limits
from wsframe.net.poller import READ, WRITE
from wsframe.protocol.decoder import LONGEST_FRAME

pytestmark = pytest.mark.usefixtures("in_c")

FROM_C: dict[str, Any] = dict(speedups.FROM_C)
BUFFER = 64
LARGE = frame(BINARY, b"x" * 500)
LARGE_TEXT = text("x" * 500)


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    """Give a reactor whose reads are small, so that nothing large is needed for a large message."""
    with running_in("c"):
        links = Links("c", buffer=BUFFER)
        yield links
        links.close()


def receive(links: Links, *peers: Peer, flags: int = READ) -> list[Any]:
    """Have C receive from links, whatever the kernel says of them."""
    ready = [(peer.link.fd, flags) for peer in peers]
    left: list[Any] = FROM_C["receive_ready"](ready, links.reactor.links, links.reactor.loop.buffer, CLOCK + 1)
    return left


def messages(peer: Peer) -> list[object]:
    return [entry for entry in peer.snapshot().entries if entry is not CONNECTED]


async def test_whole_messages_are_taken_and_counted(links: Links) -> None:
    ann, bob = links.open(), links.open()
    ann.sock.send(text("one") + text("zwölf"))
    bob.sock.send(frame(BINARY, b"two"))
    assert receive(links, ann, bob) == []
    assert (messages(ann), messages(bob)) == (["one", "zwölf"], [b"two"])
    assert (ann.inbox.waiting, ann.inbox.byte_count, ann.inbox.received) == (2, cost_of(["one", "zwölf"]), 2)
    assert links.reactor.budget.held == cost_of(["one", "zwölf", b"two"])
    assert ann.connection.deadlines.heard_at == CLOCK + 1


@pytest.mark.parametrize("data", [frame(PING), frame(CLOSE), frame(TEXT, b"half", fin=False), b"\x81", b"\0\0\0\0\0\0"])
async def test_anything_else_is_left_to_python_with_its_bytes(links: Links, data: bytes) -> None:
    peer = links.open()
    peer.sock.send(text("first") + data)
    assert receive(links, peer) == [(peer.link, READ, text("first") + data)]
    assert messages(peer) == []
    assert peer.inbox.received == 0


@pytest.mark.parametrize("flags", [WRITE, READ | WRITE, 8, READ | 16])
async def test_any_readiness_but_to_be_read_is_left_to_python(links: Links, flags: int) -> None:
    peer = links.open()
    peer.sock.send(text("first"))
    assert receive(links, peer, flags=flags) == [(peer.link, flags, None)]


async def test_a_link_without_a_descriptor_of_its_own_is_left_to_python(links: Links) -> None:
    peer = links.open()
    peer.sock.send(text("first"))
    peer.link.raw_fd = -1
    assert receive(links, peer) == [(peer.link, READ, None)]


def take_received(peer: Peer, data: bytes) -> bool:
    """Hand bytes that Python has read to C, as those of TLS are; behind them stands the rest of an earlier read."""
    taken: bool = FROM_C["take_received"](peer.link, bytearray(data + text("earlier")), len(data))
    return taken


async def test_bytes_that_python_has_read_are_taken_if_they_are_whole_messages(links: Links) -> None:
    peer = links.open()
    assert take_received(peer, text("one") + text("zwölf") + frame(BINARY, b"two"))
    assert messages(peer) == ["one", "zwölf", b"two"]
    assert (peer.inbox.received, links.reactor.budget.held) == (3, cost_of(["one", "zwölf", b"two"]))


@pytest.mark.parametrize(
    "data", [frame(PING), frame(CLOSE), frame(TEXT, b"half", fin=False), b"\x81", text("x")[:5], b"\0" * 6, LARGE[:40]]
)
async def test_other_bytes_that_python_has_read_change_nothing(links: Links, data: bytes) -> None:
    peer = links.open()
    before = peer.snapshot()
    assert not take_received(peer, text("first") + data)
    assert peer.snapshot() == before


@pytest.mark.parametrize("limits", [Limits(max_queued_messages=2), Limits(max_message_rate=1e9)])
async def test_bytes_that_python_has_read_are_taken_within_the_limits(links: Links, limits: Limits) -> None:
    peer = links.open(limits)
    assert not take_received(peer, text("x") * 3)
    assert messages(peer) == []


async def test_bytes_behind_a_part_of_a_message_are_left_to_python(links: Links) -> None:
    for begun in (text("x")[:3], frame(TEXT, b"half", fin=False)):
        peer = links.open()
        peer.send(begun)
        assert not take_received(peer, text("whole"))
        assert messages(peer) == []


@pytest.mark.parametrize("size", [-1, 5])
async def test_no_more_bytes_are_taken_than_there_are(links: Links, size: int) -> None:
    with pytest.raises(TypeError, match="take_received"):
        FROM_C["take_received"](links.open().link, bytearray(4), size)


async def test_a_check_sees_the_frames_that_python_has_read(links: Links) -> None:
    peer = links.open()
    peer.link.ask(lambda *args: None)
    assert (peer.link.raw_fd, peer.link.by_c) == (-1, False)


async def test_descriptors_that_are_no_longer_known_are_passed_over(links: Links) -> None:
    peer = links.open()
    peer.link.abort("gone", mute=False)
    assert receive(links, peer) == []


async def test_a_false_report_of_readiness_does_nothing(links: Links) -> None:
    peer = links.open()
    assert receive(links, peer) == []
    for begun in (LARGE, LARGE_TEXT):
        peer.send(begun[:30])
        before = peer.snapshot()
        assert receive(links, peer) == []
        assert peer.snapshot() == before
        peer.send(begun[30:])
    assert messages(peer) == [b"x" * 500, "x" * 500]


@pytest.mark.parametrize("begun", [b"", LARGE[:8], LARGE[:9], LARGE[:40], LARGE_TEXT[:40]])
async def test_an_end_is_noticed_whatever_has_begun(links: Links, begun: bytes) -> None:
    peer = links.open()
    peer.send(begun)
    receive(links, peer)
    peer.sock.shutdown(socket.SHUT_WR)
    assert receive(links, peer) == [(peer.link, READ, None)]
    links.settle()
    assert peer.link.closing.ended is not None
    assert peer.link.closing.ended.code == 1006
    assert links.reactor.budget.held == 0


@pytest.mark.parametrize("begun", [b"", LARGE[:40], LARGE_TEXT[:40]])
async def test_a_reset_ends_the_link_in_the_middle_and_the_next_is_served(links: Links, begun: bytes) -> None:
    peer, other = links.open(), links.open()
    peer.send(begun)
    other.sock.send(text("other"))
    assert peer.link.transport.sock is not None
    peer.link.transport.sock.send(b"unread")  # closed with something unread, a unix socket resets
    peer.sock.close()
    assert receive(links, peer, other) == []
    assert peer.link.closing.ended is not None
    assert peer.link.fd not in links.reactor.links
    assert messages(other) == ["other"]
    assert links.reactor.budget.held == 5 + MESSAGE_COST


@pytest.mark.parametrize("message", [LARGE, LARGE_TEXT])
@pytest.mark.parametrize("piece", [1, 7, 8, 9, 10, 63, 64, 65, 200])
async def test_a_large_message_comes_whole_in_any_pieces(links: Links, message: bytes, piece: int) -> None:
    peer = links.open()
    data = message * 2
    for at in range(0, len(data), piece):
        peer.send(data[at : at + piece])
        assert links.reactor.budget.held == peer.inbox.byte_count + peer.connection.undecoded
    assert len(set(messages(peer))) == 1
    assert (len(messages(peer)), peer.inbox.byte_count, peer.connection.undecoded) == (2, 1000 + 2 * MESSAGE_COST, 0)


async def test_of_a_large_message_every_byte_counts_as_a_sign_of_life(links: Links) -> None:
    for message in (LARGE, LARGE_TEXT):
        peer = links.open()
        peer.send(message[:40])
        assert peer.connection.deadlines.heard_at == CLOCK
        peer.sock.send(b"x")
        receive(links, peer)
        assert peer.connection.deadlines.heard_at == CLOCK + 1


async def test_a_large_message_whose_share_is_full_is_left_to_python_whole(links: Links) -> None:
    peer = links.open(Limits(max_queued_messages=1))
    peer.send(LARGE[:100])
    peer.sock.send(LARGE[100:])
    left = receive(links, peer)
    assert left == [(peer.link, READ, bytearray())]
    assert peer.held() == LARGE
    peer.link.take(left[0][2])
    assert messages(peer) == [b"x" * 500]
    assert peer.inbox.paused


async def test_a_large_message_of_a_client_that_is_muted_is_dropped(links: Links) -> None:
    peer = links.open()
    peer.send(LARGE[:100])
    peer.inbox.muted = True
    peer.send(LARGE[100:])
    assert (messages(peer), links.reactor.budget.held, peer.inbox.waiting) == ([], 0, 0)


async def test_a_payload_that_is_whole_already_is_not_lost(links: Links) -> None:
    """It never is when the reactor reads: whole frames are decoded before that."""
    peer = links.open()
    peer.send(LARGE[:40])
    receive(links, peer)
    peer.connection._held, peer.connection._payload = bytearray(LARGE[:8]), LARGE[8:]
    peer.sock.send(text("next"))
    assert receive(links, peer) == [(peer.link, READ, None)]
    links.settle()
    assert messages(peer) == [b"x" * 500, "next"]


@pytest.mark.parametrize("data", [text("a") * 3, LARGE, LARGE_TEXT])
async def test_limits_beyond_all_sizes_are_limits(links: Links, data: bytes) -> None:
    vast = 2**70
    peer = links.open(Limits(max_message=vast, max_queued_messages=vast, max_queued_bytes=vast))
    links.reactor.budget.limit = vast
    peer.send(data[:20])
    peer.send(data[20:])
    assert len(messages(peer)) == (3 if data.startswith(text("a")) else 1)


@pytest.mark.parametrize("length", [LONGEST_FRAME, LONGEST_FRAME + 1, 2**63 - 1])
async def test_a_frame_as_long_as_can_be_said_is_no_trouble(links: Links, length: int) -> None:
    peer = links.open(Limits(max_message=2**70))
    for _ in range(3):
        peer.send(b"\x82\xff" + length.to_bytes(8, "big") + b"mask" if not peer.held() else b"more")
        assert peer.connection._wanted in (0, length + 14)
    assert messages(peer) == []
    assert peer.link.closing.ended is None
    assert FROM_C["read_messages"](b"\x82\xff" + length.to_bytes(8, "big") + b"mask", 0, 1, 2**64 - 1, True, []) == (
        (0, 0, length + 14 if length <= LONGEST_FRAME else 0)
    )


class Bell:
    """A doorbell that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def ring(self) -> None:
        raise self.error


@pytest.mark.parametrize(("data", "begun"), [(text("first"), 0), (LARGE, 100)])
async def test_a_fault_in_the_middle_costs_one_link_and_is_logged(
    links: Links, data: bytes, begun: int, caplog: pytest.LogCaptureFixture
) -> None:
    peer, other = links.open(), links.open()
    peer.take()
    peer.send(data[:begun])
    peer.sock.send(data[begun:])
    other.sock.send(text("other"))
    with (
        patch.object(peer.place.mailbox, "doorbell", Bell(RuntimeError("a fault"))),
        patch.object(type(peer.link.closing), "note"),  # it would ring, too
    ):
        assert receive(links, peer, other) == []
    assert peer.link.transport.sock is None
    assert messages(other) == ["other"]
    (record,) = caplog.records
    assert record.getMessage() == "127.0.0.1:1 /: internal error; the connection is aborted"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a fault"
    assert record.exc_info[2] is not None


@pytest.mark.parametrize(("data", "begun"), [(text("first"), 0), (LARGE, 100)])
async def test_what_is_no_fault_of_a_link_passes(links: Links, data: bytes, begun: int) -> None:
    """Ctrl-C, for one: trio raises it wherever the program happens to be."""
    peer = links.open()
    peer.take()
    peer.send(data[:begun])
    peer.sock.send(data[begun:])
    with patch.object(peer.place.mailbox, "doorbell", Bell(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
        receive(links, peer)


async def test_a_fault_in_giving_up_passes(links: Links) -> None:
    peer = links.open()
    with (
        patch.object(peer.link, "connection", None),
        patch.object(type(peer.link), "crashed", side_effect=ValueError("crashed")),
        pytest.raises(ValueError, match="crashed"),
    ):
        receive(links, peer)


class Garbage:
    """Ends a link when it is collected, which may be anywhere."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.cycle = self

    def __del__(self) -> None:
        self.peer.link.abort("collected", mute=False)


@pytest.fixture
def collecting() -> Iterator[None]:
    before = gc.get_threshold()
    gc.disable()
    yield
    gc.set_threshold(*before)
    gc.enable()


@pytest.mark.usefixtures("collecting")
async def test_garbage_is_not_collected_in_the_middle_of_a_link(links: Links) -> None:
    peer = links.open()
    peer.take()
    links.reactor.loop.buffer = bytearray(65536)
    peer.sock.send(text("x") * 200)
    gc.collect()
    Garbage(peer)
    ready, known, buffer = [(peer.link.fd, READ)], links.reactor.links, links.reactor.loop.buffer
    gc.set_threshold(50)
    gc.enable()
    FROM_C["receive_ready"](ready, known, buffer, CLOCK)
    assert gc.isenabled()
    gc.collect()
    assert messages(peer)[:-1] == ["x"] * 200
    assert messages(peer)[-1] is peer.link.closing.ended is not None
    assert (peer.inbox.waiting, links.reactor.budget.held) == (200, 200 * (1 + MESSAGE_COST))


@pytest.mark.usefixtures("collecting")
async def test_collecting_stays_switched_off(links: Links) -> None:
    receive(links, links.open())
    assert not gc.isenabled()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("receive_ready", ([], {}, bytearray(8))),
        ("receive_ready", ((), {}, bytearray(8), 0.0)),
        ("receive_ready", ([], [], bytearray(8), 0.0)),
        ("receive_ready", ([], {}, b"12345678", 0.0)),
        ("receive_ready", ([None], {}, bytearray(8), 0.0)),
        ("receive_ready", ([(1, 2, 3)], {}, bytearray(8), 0.0)),
        ("receive_ready", ([({}, 1)], {}, bytearray(8), 0.0)),
        ("send_whole", ()),
        ("send_whole", ((),)),
        ("data_frame", (-1, b"")),
        ("data_frame", (0x80, b"")),
        ("data_frame", (2**70, b"")),
    ],
)
def test_wrong_arguments_are_refused(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        FROM_C[name](*args)


def test_things_that_are_no_links_are_refused() -> None:
    with pytest.raises(AttributeError):
        FROM_C["receive_ready"]([(5, READ)], {5: object()}, bytearray(8), 0.0)
    with pytest.raises(AttributeError):
        FROM_C["send_whole"]([object()])
