"""The header between servers: it passes once, at its server, within its time, and as it was made."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.net import peer_header
from wsframe.net.client_facts import ClientFacts, encode_facts
from wsframe.net.peer_header import (
    SEAL,
    STAMP,
    VALID_FOR,
    OpenedHeader,
    PeerGate,
    PeerHeaderReader,
    RefusedPeer,
    key_of,
    sealed,
)
from wsframe.net.proxy_protocol import MalformedProxyHeader

KEY = key_of("a secret that nobody guesses")
FACTS = ClientFacts(host="192.0.2.7", port=5000, secure=True, peer_certificate_der=b"der")
NODE = "10.0.0.1:9000/0/abcd"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> PeerGate:
    return PeerGate(NODE, KEY, clock, clock)


def made(clock: Clock, *, target: str = NODE, key: bytes = KEY, nonce: bytes | None = None, late: float = 0) -> bytes:
    return sealed(FACTS, 17, target, key, clock.now - late, nonce or os.urandom(16))


def opened(gate: PeerGate, data: bytes) -> OpenedHeader:
    reader = PeerHeaderReader()
    assert reader.receive(data)
    return gate.open(reader)


def test_a_header_passes_with_all_that_it_says(gate: PeerGate, clock: Clock) -> None:
    assert opened(gate, made(clock) + b"GET /") == OpenedHeader(FACTS, 17, b"GET /")


def test_a_header_passes_in_pieces(gate: PeerGate, clock: Clock) -> None:
    reader, data = PeerHeaderReader(), made(clock)
    whole = [reader.receive(data[at : at + 1]) for at in range(len(data))]
    assert whole == [False] * (len(data) - 1) + [True]
    assert gate.open(reader).partition == 17


def test_a_replayed_header_is_refused(gate: PeerGate, clock: Clock) -> None:
    data = made(clock)
    opened(gate, data)
    for _ in range(3):
        with pytest.raises(RefusedPeer, match="sent before"):
            opened(gate, data)


@pytest.mark.parametrize("wait", [VALID_FOR - 0.1, VALID_FOR + 0.1, 2 * VALID_FOR + 0.1, 3600.0])
@pytest.mark.parametrize("late", [-VALID_FOR, 0.0, VALID_FOR])
def test_a_replay_is_refused_at_any_time(gate: PeerGate, clock: Clock, wait: float, late: float) -> None:
    data = made(clock, late=late)
    opened(gate, data)
    clock.now += wait
    with pytest.raises(RefusedPeer):
        opened(gate, data)


def test_a_header_of_another_time_is_refused(gate: PeerGate, clock: Clock) -> None:
    for late in (VALID_FOR + 1, -VALID_FOR - 1, 1e9, float("nan"), float("inf")):
        with pytest.raises(RefusedPeer, match="time differs"):
            opened(gate, made(clock, late=late))


def test_a_header_for_another_server_or_its_predecessor_is_refused(gate: PeerGate, clock: Clock) -> None:
    for other in ("10.0.0.1:9000/0/abce", "10.0.0.1:9000/0/abcd2", "10.0.0.1:9000/0/abc", ""):
        with pytest.raises(RefusedPeer, match="another server"):
            opened(gate, made(clock, target=other))


def test_a_header_with_another_key_is_refused(gate: PeerGate, clock: Clock) -> None:
    with pytest.raises(RefusedPeer, match="seal is wrong"):
        opened(gate, made(clock, key=key_of("another secret")))


def test_facts_without_a_seal_are_refused(gate: PeerGate) -> None:
    stamp = made(Clock())
    for data in (encode_facts(FACTS), encode_facts(FACTS, [(SEAL, bytes(32)), (STAMP, b"x" * 26)])):
        with pytest.raises(RefusedPeer, match="no seal"):
            opened(gate, data)
    with pytest.raises(RefusedPeer):
        opened(gate, stamp[:16] + b"\x7f" + stamp[17:])


def test_bytes_that_are_no_header_are_refused_at_once() -> None:
    for data in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\r\n\r\n\0\r\nQUIT\n\x31"):
        with pytest.raises(RefusedPeer):
            PeerHeaderReader().receive(data + bytes(16))


@given(st.data())
def test_a_changed_header_is_refused(data: st.DataObject) -> None:
    clock = Clock()
    header = bytearray(made(clock))
    at = data.draw(st.integers(0, len(header) - 1))
    header[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RefusedPeer):
        opened(PeerGate(NODE, KEY, clock), bytes(header) + bytes(65536))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_waited_for(data: bytes) -> None:
    reader = PeerHeaderReader()
    try:
        whole = reader.receive(data)
    except RefusedPeer:
        return
    if whole:
        with pytest.raises(RefusedPeer):
            PeerGate(NODE, KEY, Clock()).open(reader)


def test_numbers_are_forgotten_once_their_headers_cannot_pass(gate: PeerGate, clock: Clock) -> None:
    for _ in range(50):
        opened(gate, made(clock))
        clock.now += 1
    assert len(gate._seen) <= 2 * VALID_FOR + 2


def test_more_numbers_than_can_be_remembered_are_refused(
    gate: PeerGate, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_header, "MOST_NONCES", 3)
    for _ in range(3):
        opened(gate, made(clock))
    with pytest.raises(RefusedPeer, match="too many"):
        opened(gate, made(clock))
    clock.now += 2 * VALID_FOR + 2
    opened(gate, made(clock))


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_and_is_put_right_shuts_nobody_out(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_header, "MOST_NONCES", 3)
    clock, elapsed = Clock(), Clock()
    gate = PeerGate(NODE, KEY, clock, elapsed)
    clock.now += jump
    opened(gate, made(clock))
    clock.now -= jump
    for _ in range(5):
        data = made(clock)
        opened(gate, data)
        with pytest.raises(RefusedPeer, match="sent before"):
            opened(gate, data)
        clock.now += 2 * VALID_FOR + 2
        elapsed.now += 2 * VALID_FOR + 2
    assert len(gate._seen) <= 3


def test_a_number_is_remembered_over_a_jump_of_the_clock() -> None:
    clock = Clock()
    gate = PeerGate(NODE, KEY, clock, lambda: 0.0)
    data = made(clock)
    opened(gate, data)
    clock.now += 3600
    opened(gate, made(clock))
    clock.now -= 3600
    with pytest.raises(RefusedPeer, match="sent before"):
        opened(gate, data)


def test_nothing_in_a_header_is_read_before_its_seal_has_passed(
    gate: PeerGate, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def fail(header: bytes) -> None:
        read.append(header)
        raise MalformedProxyHeader("read")

    monkeypatch.setattr(peer_header, "read_v2", fail)
    with pytest.raises(RefusedPeer, match="seal is wrong"):
        opened(gate, made(clock, key=key_of("another secret")))
    with pytest.raises(RefusedPeer, match="no seal"):
        opened(gate, encode_facts(FACTS))
    assert read == []
    with pytest.raises(RefusedPeer, match="read"):
        opened(gate, made(clock))
