"""One stream of frames, and the queue of bytes to be written to it."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from wsframe.backplane.relay.frames import MalformedFrame, RelayFrame, frame
from wsframe.backplane.relay.stream import Outgoing, WriteTurn, read_all, read_frames


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
    outgoing, got, clear = Outgoing(), list[RelayFrame](), trio.Event()
    for number in range(3):
        outgoing.put(frame(number + 1, topic="t"))

    def take(one: RelayFrame) -> None:
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
    got: list[RelayFrame] = []
    await read_frames(theirs, got.append)
    assert [one.kind for one in got] == [1]


async def test_garbage_ends_reading() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(bytes(100))
    with pytest.raises(MalformedFrame):
        await read_frames(theirs, lambda one: None)


def stream_and_socket() -> tuple[trio.SocketStream, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(ours)), theirs


async def in_turns_of_trio(turn: WriteTurn) -> None:
    with turn.of_trio():
        await trio.sleep_forever()


@asynccontextmanager
async def written(outgoing: Outgoing, sent: Callable[[], object] | None = None) -> AsyncIterator[Callable[[], bytes]]:
    """Run the task of a stream that has nothing to write; yield a function that returns the bytes written."""
    stream, theirs = stream_and_socket()

    def arrived() -> bytes:
        try:
            return theirs.recv(1_000)
        except BlockingIOError:
            return b""

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(outgoing.write, stream, sent)
        await wait_all_tasks_blocked()
        with theirs:
            yield arrived
        nursery.cancel_scope.cancel()


async def test_all_frames_of_a_turn_of_trio_are_written_at_its_end_and_no_task_wakes() -> None:
    turn, told = WriteTurn(), list[str]()
    outgoing = Outgoing(turn=turn)
    with turn.of_trio():
        async with written(outgoing, lambda: told.append("sent")) as arrived:
            told.clear()
            for data in (b"a", b"b", b"c"):
                assert outgoing.put(data)
            assert (arrived(), told) == (b"", [])
            await trio.lowlevel.checkpoint()
            assert (arrived(), told) == (b"abc", ["sent"])
            assert not outgoing.doorbell.rung
            outgoing.put(b"d")
            await trio.lowlevel.checkpoint()
            assert (arrived(), told) == (b"d", ["sent", "sent"])
            outgoing.put(b"e")  # before the end of all turns
        await trio.lowlevel.checkpoint()


async def test_the_last_turn_of_trio_writes_too() -> None:
    turn = WriteTurn()
    outgoing = Outgoing(turn=turn)
    async with written(outgoing) as arrived:
        with turn.of_trio():
            outgoing.put(b"a")
        assert arrived() == b"a"
        outgoing.put(b"b")
        assert arrived() == b""
        await wait_all_tasks_blocked()
        assert arrived() == b"b"


async def test_two_streams_are_filled_in_one_turn_of_trio() -> None:
    turn = WriteTurn()
    one, two = Outgoing(turn=turn), Outgoing(turn=turn)
    with turn.of_trio():
        async with written(one) as first, written(two) as second:
            one.put(b"1")
            two.put(b"2")
            await trio.lowlevel.checkpoint()
            assert (first(), second()) == (b"1", b"2")


@pytest.mark.parametrize("of_trio", [True, False])
async def test_bytes_that_the_kernel_does_not_take_at_once_follow_in_order(of_trio: bool) -> None:
    turn, got = WriteTurn(), bytearray()
    outgoing = Outgoing(turn=turn)
    pieces = [random.Random(number).randbytes(1 << 20) for number in range(3)]
    stream, theirs = stream_and_socket()
    reading = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    async with stream, reading, trio.open_nursery() as nursery:
        if of_trio:
            nursery.start_soon(in_turns_of_trio, turn)
        nursery.start_soon(outgoing.write, stream)
        await wait_all_tasks_blocked()
        for piece in pieces:
            outgoing.put(piece)

        def take(data: bytes) -> None:
            got.extend(data)
            outgoing.put(b"")
            if len(got) == 3 << 20:
                nursery.cancel_scope.cancel()

        await read_all(reading, take)
    assert got == b"".join(pieces)


async def test_a_turn_writes_once_to_each_stream_that_it_fills() -> None:
    turn, reports = WriteTurn(), [b"c", b"d"]

    def more() -> bytes:
        data = b"".join(reports)
        reports.clear()
        return data

    outgoing = Outgoing(more=more, turn=turn)
    async with written(outgoing) as arrived:
        assert arrived() == b"cd"
        with turn:
            outgoing.force(b"a")
            reports.append(b"b")
            outgoing.ring()
            assert arrived() == b""
        assert arrived() == b"ab"
        with suppress(MalformedFrame), turn:
            outgoing.force(b"e")
            raise MalformedFrame  # of the worker that is read from
        assert arrived() == b"e"
        outgoing.ring()
        reports.append(b"f")
        with turn:
            outgoing.ring()
        await wait_all_tasks_blocked()
        assert arrived() == b"f"


@pytest.mark.parametrize("fault", ["bytes", "peer"])
async def test_a_stream_that_cannot_be_written_to_ends_in_its_own_task(fault: str) -> None:
    turn, broken = WriteTurn(), False

    def more() -> bytes:
        if broken:
            raise KeyError("bytes")
        return b""

    outgoing = Outgoing(more=more, turn=turn)
    with pytest.RaisesGroup(KeyError if fault == "bytes" else trio.BrokenResourceError):
        stream, theirs = stream_and_socket()
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(outgoing.write, stream)
            await wait_all_tasks_blocked()
            theirs.close()
            broken = fault == "bytes"
            with turn:
                outgoing.force(b"x")


async def test_a_reader_learns_that_the_other_end_has_failed() -> None:
    stream, theirs = stream_and_socket()
    async with stream:
        await stream.send_all(b"unread")
        theirs.close()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await read_all(stream, lambda data: None)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_loop_writes_the_rest_when_there_is_room_before_all_that_came_later() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        blocked: list[str] = []
        turn = WriteTurn()
        outgoing = Outgoing(64 << 20, turn=turn, blocked=lambda: blocked.append("blocked"))
        assert outgoing.go_on(ours.fileno())
        sent = random.Random(1).randbytes(8 << 20)
        with turn:
            outgoing.force(sent)
        with turn:
            outgoing.force(b"later")
        assert blocked == ["blocked"] * 2
        got = bytearray()
        while len(got) < len(sent) + 5:
            got += theirs.recv(1 << 20)
            outgoing.go_on(ours.fileno())
        assert got == sent + b"later"
        with turn:
            outgoing.force(b"at once")
        assert theirs.recv(100) == b"at once"
        outgoing.stop()
        with turn:
            outgoing.force(b"never")
        assert blocked == ["blocked"] * 3


def test_bytes_that_cannot_be_made_end_the_stream_in_a_loop() -> None:
    turn, broken = WriteTurn(), False

    def more() -> bytes:
        return b"" if not broken else bytes([256])

    ours, theirs = socket.socketpair()
    with ours, theirs:
        blocked: list[str] = []
        outgoing = Outgoing(more=more, turn=turn, blocked=lambda: blocked.append("blocked"))
        assert outgoing.go_on(ours.fileno())
        broken = True
        with turn:
            outgoing.ring()
        assert blocked == ["blocked"]
        with pytest.raises(ValueError, match="256"):
            outgoing.go_on(ours.fileno())
