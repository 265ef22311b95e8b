"""Frames of a client: each masked with a key of its own, readable by any server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import SERVER
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, Ping

from wsframe.protocol.frames import BINARY, PING, control_frame
from wsframe.protocol.masking import KEYS_AT_ONCE, Masker


def counting() -> Iterator[bytes]:
    number = 0
    while True:
        yield b"".join((number + at).to_bytes(4, "big") for at in range(KEYS_AT_ONCE // 4))
        number += KEYS_AT_ONCE // 4


def numbered() -> Masker:
    """Return a masker whose keys are 0, 1, 2..."""
    batches = counting()
    return Masker(lambda size: next(batches)[:size])


def received(data: bytes) -> bytes:
    """Return the message that a server decodes from the frames of one binary message."""
    events = list(Engine(SERVER, [], data).events())
    assert all(isinstance(event, BytesMessage) for event in events)
    assert [event.message_finished for event in events if isinstance(event, BytesMessage)][-1]
    return b"".join(event.data for event in events if isinstance(event, BytesMessage))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 70000])
def test_a_server_reads_what_was_sent(length: int) -> None:
    payload = bytes(range(256)) * (length // 256 + 1)
    frame = Masker().message(BINARY, payload[:length])
    assert received(bytes(frame)) == payload[:length]


@given(st.binary(max_size=300), st.integers(1, 100))
def test_a_server_reads_fragments(payload: bytes, frame_size: int) -> None:
    frames = Masker().fragments(BINARY, payload, frame_size)
    assert len(frames) == max(1, -(-len(payload) // frame_size))
    assert received(b"".join(map(bytes, frames))) == payload


def test_large_fragments_are_read_too() -> None:
    payload = bytes(range(256)) * 1000
    frames = Masker().fragments(BINARY, payload, 100_000)
    assert len(frames) == 3
    assert received(b"".join(map(bytes, frames))) == payload


def test_no_key_is_used_twice() -> None:
    masker = numbered()
    count = KEYS_AT_ONCE // 4 * 2 + 3
    keys = [bytes(masker.message(BINARY, b""))[2:6] for _ in range(count)]
    assert keys == [number.to_bytes(4, "big") for number in range(count)]


def test_keys_come_from_the_system() -> None:
    """Two maskers with the same messages have nothing in common."""
    first, second = Masker(), Masker()
    keys = {bytes(masker.message(BINARY, b""))[2:6] for masker in (first, second) for _ in range(100)}
    assert len(keys) > 190


def test_a_control_frame_is_masked() -> None:
    frame = numbered().mask(control_frame(PING, b"are you there"))
    (event,) = Engine(SERVER, [], frame).events()
    assert isinstance(event, Ping)
    assert bytes(event.payload) == b"are you there"
    assert frame[1] & 0x80
