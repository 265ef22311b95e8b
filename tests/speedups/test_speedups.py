"""The functions that exist in C and in Python: whatever they are given, they do the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsframe import speedups
from wsframe.protocol.fast_lane import read_messages
from wsframe.protocol.frames import BINARY, TEXT

FROM_C: dict[str, Any] = dict(speedups.FROM_C)
IN_PYTHON: dict[str, Callable[..., Any]] = speedups.IN_PYTHON

needs_c = pytest.mark.usefixtures("in_c")

LENGTHS = st.one_of(
    st.integers(0, 140), st.sampled_from([1023, 1024, 1025, 65535, 65536, 65537]), st.integers(0, 2**64 - 1)
)


def both(name: str, *args: Any) -> tuple[Any, Any]:
    return FROM_C[name](*args), IN_PYTHON[name](*args)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame, mostly a good one: any header, with some bytes of payload behind."""
    length = draw(LENGTHS)
    masked = draw(st.sampled_from([0x80, 0x80, 0x80, 0]))
    form = draw(st.sampled_from(["shortest", "shortest", "shortest", "16", "64"]))
    first = draw(st.sampled_from([0x81, 0x82, 0x81, 0x82, 0x01, 0x80, 0x88, 0xC1, 0x89]))
    if form == "shortest" and length < 126:
        head = bytes((first, masked | length))
    elif form == "16" or (form == "shortest" and length < 65536):
        head = bytes((first, masked | 126)) + (length & 0xFFFF).to_bytes(2, "big")
        length &= 0xFFFF
    else:
        head = bytes((first, masked | 127)) + length.to_bytes(8, "big")
    there = min(length, draw(st.sampled_from([length, length, length, 70_000, length // 2])), 70_000)
    kind = draw(st.sampled_from(["ascii", "text", "bytes"]))
    piece = {"ascii": b"ascii", "text": "aä€😀".encode(), "bytes": draw(st.binary(min_size=1, max_size=9))}[kind]
    payload = (piece * (there // len(piece) + 1))[:there]
    mask = draw(st.binary(min_size=4, max_size=4)) if masked else b""
    return head + mask + (bytes(IN_PYTHON["unmask"](payload, mask)) if masked else payload)


@needs_c
@given(st.lists(frames(), max_size=5), st.integers(0, 6), st.sampled_from([0, 125, 1024, 70_000, 2**63 - 1]), st.data())
def test_the_lane_reads_the_same_in_c(parts: list[bytes], room: int, limit: int, data: st.DataObject) -> None:
    stream = bytearray(b"".join(parts))
    at = data.draw(st.sampled_from([0, 0, 0, len(stream), len(parts[0]) if parts else 0]))
    masked = data.draw(st.booleans())
    stream = stream[: data.draw(st.integers(0, len(stream)))] if data.draw(st.booleans()) else stream
    at = min(at, len(stream))
    before = bytes(stream)
    taken: list[list[Any]] = [[], []]
    results = [read(stream, at, room, limit, masked, into) for read, into in zip(lanes(), taken, strict=True)]
    assert results[0] == results[1]
    assert taken[0] == taken[1]
    assert list(map(type, taken[0])) == list(map(type, taken[1]))
    assert stream == before


def lanes() -> tuple[Callable[..., Any], Callable[..., Any]]:
    return FROM_C["read_messages"], IN_PYTHON["read_messages"]


@needs_c
@given(st.binary(max_size=200), st.integers(0, 5), st.booleans())
def test_the_lane_reads_noise_the_same_in_c(noise: bytes, room: int, masked: bool) -> None:
    taken: list[list[Any]] = [[], []]
    results = [read(bytearray(noise), 0, room, 100, masked, into) for read, into in zip(lanes(), taken, strict=True)]
    assert results[0] == results[1]
    assert taken[0] == taken[1]


@needs_c
@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([0, 125, 126, 127, 65535, 65536]).map(bytes), max_size=6),
    st.sampled_from([0, 1, 2, 9, 0x41, 0x80, 0x81]),
    st.booleans(),
    st.data(),
)
def test_fragments_are_gathered_the_same_in_c(
    parts: list[bytes], first: int, masked: bool, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, 3))
    stream = bytearray(at)
    for number, part in enumerate(parts):
        byte = data.draw(st.sampled_from([0, 0, 0, 0, 0x80])) if number else first
        whole = bytes(IN_PYTHON["data_frame"](TEXT, part))
        header = bytearray(whole[: len(whole) - len(part)])
        header[0] = byte
        key = data.draw(st.binary(min_size=4, max_size=4)) if masked else b""
        header[1] |= 0x80 if masked else 0
        stream += header + key + (IN_PYTHON["unmask"](part, key) if masked else part)
    stream = stream[: data.draw(st.integers(at, len(stream)))] if data.draw(st.booleans()) else stream
    begun, most = data.draw(st.booleans()), data.draw(st.integers(-1, 7))
    limit, room = (
        data.draw(st.sampled_from([0, 100, 65536, 2**70])),
        data.draw(st.sampled_from([0, 3, 150, 10**6, 2**70])),
    )
    read_as = masked if data.draw(st.integers(0, 9)) else not masked
    taken = [bytearray(b"abc"), bytearray(b"abc")]
    gathers = FROM_C["gather_fragments"], IN_PYTHON["gather_fragments"]
    results = [
        gather(stream, at, into, begun, most, limit, room, read_as) for gather, into in zip(gathers, taken, strict=True)
    ]
    assert results[0] == results[1]
    assert taken[0] == taken[1]


@needs_c
@given(st.lists(frames(), max_size=5) | st.lists(st.binary(max_size=30), max_size=9), st.data())
def test_frames_are_skipped_the_same_in_c(parts: list[bytes], data: st.DataObject) -> None:
    stream = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(stream)))
    for start in (0, at):
        in_c, in_python = both("skip_frames", stream, start)
        assert in_c == in_python
        assert in_c >= start


@needs_c
@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
@example(b"", b"abcd")
def test_unmasking_is_the_same_in_c(payload: bytes, mask: bytes) -> None:
    in_c, in_python = both("unmask", payload, mask)
    assert in_c == in_python
    assert FROM_C["unmask"](in_c, mask) == payload
    assert FROM_C["unmask"](bytearray(payload), bytearray(mask)) == in_c


@needs_c
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, TEXT | 0x40, BINARY | 0x40])
def test_a_frame_is_the_same_in_c(opcode: int, size: int) -> None:
    in_c, in_python = both("data_frame", opcode, b"x" * size)
    assert type(in_c) is type(in_python)
    assert bytes(in_c) == bytes(in_python)


@needs_c
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("unmask", (b"payload",)),
        ("unmask", (b"payload", b"abc")),
        ("unmask", ("payload", b"abcd")),
        ("unmask", (b"payload", "abcd")),
        ("data_frame", (TEXT,)),
        ("data_frame", (TEXT, "text")),
        ("data_frame", ("1", b"")),
        ("gather_fragments", (b"", 0, bytearray(), True, 1, 1, 1)),
        ("gather_fragments", (b"", 0, b"", True, 1, 1, 1, True)),
        ("gather_fragments", (b"", 1, bytearray(), True, 1, 1, 1, True)),
        ("gather_fragments", (b"", -1, bytearray(), True, 1, 1, 1, True)),
        ("gather_fragments", ("", 0, bytearray(), True, 1, 1, 1, True)),
        ("gather_fragments", (b"", 0, bytearray(), True, "1", 1, 1, True)),
        ("read_messages", (b"", 0, 1, 1, True)),
        ("read_messages", (b"", 0, 1, 1, True, ())),
        ("read_messages", ("", 0, 1, 1, True, [])),
        ("read_messages", (b"", -1, 1, 1, True, [])),
        ("read_messages", (b"", 1, 1, 1, True, [])),
        ("read_messages", (b"", 0, 1, -1, True, [])),
        ("read_messages", (b"", 0, "1", 1, True, [])),
    ],
)
def test_wrong_arguments_are_refused_in_c(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        FROM_C[name](*args)


@needs_c
def test_nothing_is_leaked_in_c() -> None:
    message = "leak" * 50
    frame = bytearray(b"\x81\xfe\x00\xc8abcd" + IN_PYTHON["unmask"](message.encode(), b"abcd"))

    def count() -> int:
        into: list[Any] = []
        for _ in range(50):
            read_messages(frame, 0, 1_000, 1_000, True, into)
            read_messages(bytearray(b"\x81\x83abcdxyz\xff"), 0, 1_000, 1_000, True, [])
            into.clear()
        return sys.getallocatedblocks()

    count()
    before = count()
    assert abs(count() - before) < 20


def test_the_environment_switches_c_off() -> None:
    code = "from wsframe import speedups; print(speedups.IN_USE)"
    environment = {**os.environ, "WSFRAME_SPEEDUPS": "0"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "python\n"
