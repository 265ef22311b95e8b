"""Our client with servers of other makers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
import trio

from tests.foreign.conversation import CODES, LIMITS, OURS, THEIRS, OurWebSocket, converse
from tests.foreign.peers import ENVIRONMENT, PEERS, Peer
from tests.patience import PATIENCE
from wsframe import ConnectionClosed, Deflate, HandshakeFailed, HandshakeRejected, connect

SERVERS = [pytest.param(peer, id=peer.name) for peer in PEERS if "server" in peer.roles]
OFFERS = {
    "plain": None,
    "shared": Deflate.shared(threshold=0),
    "dedicated": Deflate.dedicated(threshold=0),
    "widest": Deflate.dedicated(window_bits=15, threshold=0),
    "narrow": Deflate.dedicated(window_bits=9, threshold=0),
}

pytestmark = pytest.mark.parametrize("peer", SERVERS)


class Program:
    """A running server."""

    def __init__(self, lines: trio.MemoryReceiveChannel[str]) -> None:
        self.lines = lines
        self.port = 0

    async def line(self) -> str:
        return await self.lines.receive()

    def url(self, path: str = "/echo") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"


@asynccontextmanager
async def served(peer: Peer, place: Path) -> AsyncIterator[Program]:
    """Run the peer as a server; it must still be running at the end."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            command = [*peer.command(place), "server"]
            process = await trio.lowlevel.open_process(command, stdout=PIPE, env=ENVIRONMENT)
            put, lines = trio.open_memory_channel[str](1000)
            nursery.start_soon(read_lines, process, put)
            program = Program(lines)
            try:
                first = await program.line()
                assert first.startswith("listening "), first
                program.port = int(first.split()[1])
                yield program
                assert process.poll() is None, "the server has ended"
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()


async def read_lines(process: trio.Process, put: trio.MemorySendChannel[str]) -> None:
    assert process.stdout is not None
    data = b""
    with put:
        async for more in process.stdout:
            *whole, data = (data + more).split(b"\n")
            for line in whole:
                await put.send(line.decode())


async def test_messages_pings_and_our_close(peer: Peer, place: Path) -> None:
    async with served(peer, place) as program:
        for name, deflate in OFFERS.items():
            if name == "shared" and "list" in peer.differs:
                with pytest.raises(HandshakeFailed, match="accepted 2 offers of permessage-deflate"):
                    await connect(program.url(), deflate=deflate).__aenter__()
                assert (await program.line()).startswith("closed ")
                continue
            async with connect(program.url(), deflate=deflate, limits=LIMITS) as ws:
                try:
                    await converse(OurWebSocket(ws), peer.says)
                except (AssertionError, ConnectionClosed) as error:
                    raise AssertionError(f"{name} {ws.extensions}: {error}") from error
                await ws.close(*OURS)
            assert ws.closed_cleanly, name
            assert await program.line() == f"closed {OURS[0]} {OURS[1]}", name
            assert bool(ws.extensions) is (deflate is not None and "server" in peer.compresses), name


async def test_their_close_is_told(peer: Peer, place: Path) -> None:
    async with served(peer, place) as program, connect(program.url()) as ws:
        await ws.send(f"!close {THEIRS[0]} {THEIRS[1]}")
        with pytest.raises(ConnectionClosed) as caught:
            await ws.receive()
    assert caught.value.received == THEIRS
    assert ws.closed_cleanly


async def test_each_close_code_of_ours_arrives(peer: Peer, place: Path) -> None:
    async with served(peer, place) as program:
        for code in CODES:
            if str(code) in peer.differs:
                continue
            async with connect(program.url()) as ws:
                await ws.close(code, "bye")
            assert (await program.line()).startswith(f"closed {code}")
            assert ws.closed_cleanly, code


async def test_a_refusal_is_told_and_harms_no_server(peer: Peer, place: Path) -> None:
    async with served(peer, place) as program:
        for _ in range(5):
            with pytest.raises(HandshakeRejected) as caught:
                async with connect(program.url("/nowhere")):
                    pass
            assert caught.value.status == int(peer.says.get("refusal", 403))
        async with connect(program.url()) as ws:
            await ws.send("still there?")
            assert await ws.receive() == "still there?"
