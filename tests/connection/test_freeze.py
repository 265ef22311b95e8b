"""A connection that is frozen between two messages and put into a new link goes on as if nothing had happened."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.links import CLOCK, Links, Nobody, Peer, languages, running_in
from tests.protocol.streams import chunked, frames, streams
from tests.wire import BINARY, PING, TEXT, close, frame, text
from wsframe.connection.client_statistics import statistics_of
from wsframe.connection.freeze import CannotFreeze, freeze, thaw
from wsframe.connection.frozen_document import from_document, to_document
from wsframe.connection.interfaces import CONNECTED
from wsframe.connection.link import Link
from wsframe.connection.mailbox import Move
from wsframe.limits import Limits
from wsframe.protocol.close import State
from wsframe.protocol.closing import Phase
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import InflateExtension, Terms
from wsframe.protocol.frames import data_frame
from wsframe.resources.client import Client
from wsframe.workers.state_file import open_parcel, pack_parcel

LIMITS = Limits(max_message=1000, max_queued_messages=3)


def client_of(peer: Peer) -> Client[Any]:
    return cast("Client[Any]", peer.link.client)


def move_on(peer: Peer) -> bool:
    """Freeze a peer's connection and put it into a new link; return whether it could be frozen."""
    old, host = peer.link, peer.place
    try:
        sock, frozen = freeze(old)
    except CannotFreeze:
        return False
    assert old.state is State.CLOSED
    assert old.held == 0
    passed = from_document(open_parcel(pack_parcel(to_document(frozen))))
    assert passed == frozen
    frozen = passed
    waiting = list(host.mailbox.entries)
    peer.link = thaw(frozen, sock, host, cast(Any, Nobody()), peer.links.reactor)
    assert host.mailbox.entries[len(waiting)][1] is CONNECTED
    del host.mailbox.entries[len(waiting)]
    return True


class Step:
    """One step of a peer: bytes that it sends, messages that the hooks then take, and whether it is frozen."""

    def __init__(self, step: tuple[bytes, int, bool]) -> None:
        self.data, self.takes, self.freezes = step

    def __repr__(self) -> str:
        return f"Step({(self.data, self.takes, self.freezes)!r})"


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    pieces = draw(st.one_of(chunked(streams()), st.lists(frames, min_size=1, max_size=8)))
    return [Step((piece, draw(st.integers(0, 4)), draw(st.booleans()))) for piece in pieces]


def play(links: Links, plan: list[Step], *, frozen: bool) -> tuple[object, ...]:
    peer = links.open(LIMITS)
    peer.take()
    for step in plan:
        peer.send(step.data)
        for _ in range(step.takes):
            entry = next((entry for _, entry in peer.place.mailbox.entries), None)
            peer.take(1)
            if isinstance(entry, str):
                client_of(peer).send_text(entry)
                if frozen and step.freezes:  # with the reply still in the outbox
                    move_on(peer)
        if frozen and step.freezes:
            move_on(peer)
        links.settle()
    peer.take_all()
    links.settle()
    ended, held = peer.link.closing.ended, links.reactor.budget.held
    outbox = peer.link.outbox
    received = 0 if ended else peer.link.bytes_received
    counted = (statistics_of(peer.link)[0], received, outbox.bytes_sent, outbox.messages_sent)
    return peer.taken, peer.sent, ended, peer.link.closing.phase, counted, held if ended else peer.connection.undecoded


@pytest.mark.parametrize("language", languages())
@given(plan=steps())
def test_a_frozen_stream_goes_on_like_one_that_never_was(language: Any, plan: list[Step]) -> None:
    async def compare() -> None:
        with running_in(language):
            results = []
            for frozen in (False, True):
                links = Links(language)
                results.append(play(links, plan, frozen=frozen))
                links.close()
            assert results[0] == results[1]

    trio.run(compare)


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    links = Links("python")
    with running_in("python"):
        yield links
        links.close()


@pytest.fixture
def peer(links: Links) -> Peer:
    peer = links.open(LIMITS)
    peer.take()
    return peer


@pytest.mark.parametrize("sizes", [[200_000], [10, 300_000, 5, 0, 70_000], [1] * 3000 + [250_000, 3]])
async def test_unsent_frames_go_on_at_their_very_byte(links: Links, sizes: list[int]) -> None:
    peer = links.open(Limits(max_outbox=10_000_000))
    peer.take()
    peer.link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)  # type: ignore[union-attr]
    expected = b""
    for at, size in enumerate(sizes):
        payload = bytes([at % 251]) * size
        assert client_of(peer).send_binary(payload)
        expected += bytes(data_frame(BINARY, payload))
    peer.link.loop.flusher.flush()
    assert peer.link.outbox.blocked
    assert move_on(peer)
    assert peer.link.outbox.blocked
    before = len(peer.sent)
    while len(peer.sent) < len(expected):
        peer.read(5000)
        if peer.link.outbox.items:
            peer.link.sender.writable()
        assert move_on(peer)
        links.settle()
    assert peer.sent == expected
    assert before < len(expected)
    assert (peer.link.outbox.blocked, peer.link.connection.deadlines.blocked_at) == (False, None)
    assert links.reactor.budget.held == 0
    assert peer.link.outbox.bytes_sent == len(expected)


async def test_a_pong_does_not_break_into_a_frame_that_has_begun(links: Links) -> None:
    peer = links.open(Limits(max_outbox=10_000_000))
    peer.take()
    client_of(peer).send_binary(bytes(500_000))
    client_of(peer).send_text("after")
    links.reactor.flusher.flush()
    assert peer.link.outbox.blocked
    assert move_on(peer)
    peer.sock.send(frame(PING, b"now"))
    links.turn()
    while peer.link.outbox.items:
        peer.read()
        peer.link.sender.writable()
    peer.read()
    assert peer.sent[-12:] == b"\x8a\x03now\x81\x05after"
    assert len(peer.sent) == 500_010 + 12


async def test_counters_and_deadlines_go_along(links: Links, peer: Peer) -> None:
    peer.send(text("one") + text("two"))
    deadlines = peer.link.connection.deadlines
    deadlines.heard_at, deadlines.latency = CLOCK - 3, 0.25
    deadlines.sent_ping(b"12345678", CLOCK - 1)
    before = client_of(peer).statistics()
    old = peer.link
    assert move_on(peer)
    assert peer.link is not old
    assert statistics_of(peer.link) == before
    assert peer.link.counters.bytes_received + peer.link.bytes_received == before.bytes_received, "counted once"
    after = peer.link.connection.deadlines
    assert (after.heard_at, after.ping_at, after.ping_payload) == (CLOCK - 3, CLOCK - 1, b"12345678")
    assert after.scheduled <= after.next() + 0.25


async def test_a_rate_is_not_forgotten(links: Links) -> None:
    peer = links.open(Limits(max_message_rate=2))
    peer.take()
    peer.send(text("a") * 5)
    peer.take(5)
    resume_at = peer.link.connection.deadlines.resume_at
    assert resume_at is not None
    assert move_on(peer)
    assert peer.link.connection.deadlines.resume_at == resume_at
    assert peer.inbox.paused
    assert not peer.reads
    assert peer.link.buckets is not None
    assert peer.link.buckets.tokens(CLOCK) == (-3.0, None)


async def test_a_paused_client_goes_on_when_its_hooks_have(links: Links, peer: Peer) -> None:
    peer.send(text("a") * 5)
    assert peer.inbox.paused
    assert move_on(peer)
    assert peer.inbox.paused
    peer.take_all()
    assert peer.taken[1:] == ["a"] * 5
    assert peer.reads


async def test_the_context_of_compressed_messages_goes_along(peer: Peer) -> None:
    terms = Terms(15, 15, True, True, "permessage-deflate")
    connection = cast(Decoder, peer.link.connection)
    connection.inflate = InflateExtension(terms, 1000)
    connection.inflate.window = b"what was said before"
    sock, frozen = freeze(peer.link)
    link = thaw(frozen, sock, peer.place, cast(Any, Nobody()), peer.links.reactor)
    peer.link = link
    inflate = cast(Decoder, link.connection).inflate
    assert inflate is not None
    assert (inflate.terms, inflate.window) == (terms, b"what was said before")


async def test_the_request_goes_along(peer: Peer) -> None:
    request = client_of(peer).request
    assert move_on(peer)
    again = client_of(peer).request
    for name in ("path", "query_string", "host", "port", "secure", "method", "path_params", "headers"):
        assert getattr(again, name) == getattr(request, name)


async def test_those_who_wait_for_the_client_are_not_left_waiting(peer: Peer) -> None:
    pong = peer.link.pings.send()
    gone = peer.link.leaving.gone()
    assert pong is not None
    sock, _ = freeze(peer.link)
    assert await pong.wait() is None
    await gone.wait()
    assert not client_of(peer).send_text("too late")
    assert not client_of(peer).abort()
    assert peer.link.transport.sock is None
    assert sock.fileno() >= 0
    sock.close()


def mid_message(peer: Peer) -> None:
    peer.send(frame(TEXT, b"half", fin=False))


def closing(peer: Peer) -> None:
    client_of(peer).close()


def ended(peer: Peer) -> None:
    peer.send(close())


def moving(peer: Peer) -> None:
    peer.inbox.begin_move(Move(peer.place))


def connecting(peer: Peer) -> None:
    peer.place.welcome(peer.inbox)


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (mid_message, "is in the middle of a message"),
        (closing, "is closing"),
        (ended, "is closing"),
        (moving, "moves to another resource"),
        (connecting, "a hook has to be called"),
    ],
)
async def test_a_refusal_names_its_reason_and_changes_nothing(peer: Peer, prepare: Any, why: str) -> None:
    prepare(peer)
    link, before = peer.link, peer.snapshot()
    with pytest.raises(CannotFreeze, match=why):
        freeze(link)
    assert peer.snapshot() == before
    assert isinstance(link, Link)
    assert link.closing.phase is not Phase.GONE
