"""One stream of frames, and the queue of bytes to be written to it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from wsframe.backplane.frames import Frame, MalformedFrame, frame
from wsframe.backplane.stream import Outgoing, read_frames


def test_what_waits_is_bounded() -> None:
    outgoing = Outgoing(100)
    assert outgoing.put(b"x" * 200)
    assert not outgoing.put(b"x")
    outgoing.force(b"small")
    assert outgoing.take() == b"x" * 200 + b"small"
    assert outgoing.put(b"x" * 60)
    assert not outgoing.put(b"x" * 60)


async def test_frames_are_written_and_read() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    outgoing, got, clear = Outgoing(), list[Frame](), trio.Event()
    for number in range(3):
        outgoing.put(frame(number + 1, topic="t"))

    def take(one: Frame) -> None:
        got.append(one)
        if one.kind == 4:
            nursery.cancel_scope.cancel()

    def sent() -> None:
        if not clear.is_set():
            clear.set()
            outgoing.put(frame(4))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outgoing.write, ours, sent)
        nursery.start_soon(read_frames, theirs, take)
    assert [one.kind for one in got] == [1, 2, 3, 4]


async def test_reading_ends_with_the_stream() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(frame(1) + frame(2)[:5])
    await ours.aclose()
    got: list[Frame] = []
    await read_frames(theirs, got.append)
    assert [one.kind for one in got] == [1]


async def test_garbage_ends_reading() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(bytes(100))
    with pytest.raises(MalformedFrame):
        await read_frames(theirs, lambda one: None)
