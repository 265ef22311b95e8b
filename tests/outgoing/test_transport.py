"""A transport on a pair of sockets: sending and receiving that never wait, waiting apart."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from wsframe.outgoing.transport import Transport


@pytest.fixture
async def pair() -> Iterator[tuple[Transport, socket.socket]]:  # type: ignore[misc]
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport = Transport(ours)
    yield transport, theirs
    transport.close()
    theirs.close()


Pair = tuple[Transport, socket.socket]


async def test_nothing_to_read_does_not_wait(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        pair[0].recv()


async def test_the_end_is_empty(pair: Pair) -> None:
    pair[1].close()
    assert await pair[0].receive_some() == b""


async def test_a_large_message_is_sent_as_the_kernel_takes_it(pair: Pair) -> None:
    ours, theirs = pair
    received = bytearray()

    async def receive() -> None:
        while len(received) < 2**22:
            await trio.lowlevel.wait_readable(theirs)
            received.extend(theirs.recv(2**16))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await ours.send_all(b"x" * 2**22)
    assert len(received) == 2**22


async def test_closing_wakes_who_waits(pair: Pair) -> None:
    ours = pair[0]

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await ours.readable()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    for waiting in (ours.readable, ours.writable):
        with pytest.raises(trio.ClosedResourceError):
            await waiting()
    ours.close()
    assert ours.unsent_in_kernel() is None
    assert not ours.unsent


async def test_two_transports_share_one_buffer(pair: Pair) -> None:
    ours, theirs = socket.socketpair()
    other = Transport(ours)
    theirs.send(b"one")
    pair[1].send(b"two")
    first = other.recv()
    assert pair[0].recv() == b"two"
    assert first == b"one", "what was returned is a copy"
    other.close()
    theirs.close()
