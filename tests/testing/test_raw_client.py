"""A client's end in raw bytes: it reads at the pace of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from wsframe.testing.memory_sockets import MemorySocket, pair
from wsframe.testing.raw_client import Line


@asynccontextmanager
async def dialled(buffer: int = 1000) -> AsyncIterator[tuple[Line, MemorySocket]]:
    """Connect a line to a server's end that the test holds."""
    ours, theirs = pair((1, 2), buffer)
    line = Line(ours, patience=60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run)
        yield line, theirs
        nursery.cancel_scope.cancel()


async def test_bytes_go_both_ways(autojump_clock: trio.testing.MockClock) -> None:
    async with dialled() as (line, server):
        line.send_bytes(b"there")
        assert server.recv(100) == b"there"
        server.send(b"back")
        assert await line.receive_bytes() == b"back"
        assert line.end is None


async def test_what_the_server_does_not_take_waits_without_a_limit(autojump_clock: trio.testing.MockClock) -> None:
    async with dialled(100) as (line, server):
        line.send_bytes(b"x" * 10_000)
        assert line.unsent == 10_000
        received = 0
        while received < 10_000:
            await server.wait_readable()
            received += len(server.recv(1000))
        assert line.unsent == 0


async def test_a_stalled_line_reads_nothing_until_it_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    async with dialled(100) as (line, server):
        line.stall()
        server.send(b"x" * 200)
        await trio.sleep(100)
        assert server.in_flight == 200
        line.resume()
        assert len(await line.receive_bytes()) > 0


async def test_a_slow_line_reads_so_many_bytes_a_second(autojump_clock: trio.testing.MockClock) -> None:
    async with dialled() as (line, server):
        line.slow_down(10)
        server.send(b"x" * 100)
        await trio.sleep(5)
        assert 40 <= 100 - server.in_flight <= 60


@pytest.mark.parametrize("reset", [False, True])
async def test_a_line_says_how_the_server_ended(reset: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with dialled() as (line, server):
        if reset:
            line.send_bytes(b"unread")
        server.close()
        assert await line.ended() == ("reset" if reset else "eof")


async def test_patience_has_an_end(autojump_clock: trio.testing.MockClock) -> None:
    async with dialled() as (line, _):
        with pytest.raises(trio.TooSlowError):
            await line.receive_bytes()
        assert trio.current_time() == 60
