"""Clients that see whether a restart is noticed."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from tests.patience import PATIENCE
from tests.wire import BINARY, CLOSE, TEXT, Peer, close, frame, head, text

__all__ = ["Tally", "connect_for_ever", "echo_for_ever", "interrupt", "stall"]

STALLED = 1024 * 1024


@dataclass
class Tally:
    """The account of the clients."""

    counts: Counter[str] = field(default_factory=Counter)
    longest_pause: float = 0.0
    faults: list[str] = field(default_factory=list)

    def fault(self, line: str) -> None:
        """Note something that must not be."""
        self.faults.append(line)


async def opened(port: int, path: str, *, window: int | None = None) -> Peer:
    sock = trio.socket.socket()
    if window is not None:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, window)
    await sock.connect(("127.0.0.1", port))
    peer = Peer(trio.SocketStream(sock))
    await peer.send(head(path))
    return peer


async def connect_for_ever(port: int, path: str, tally: Tally) -> None:
    """Connect, exchange a message and leave, again and again."""
    while True:
        tally.counts["connects"] += 1
        step = "refused"
        try:
            with trio.fail_after(PATIENCE):
                peer = await opened(port, path)
                step = "reset"
                status = (await peer.head()).status
                if status != 101:
                    tally.counts[f"answered {status}"] += 1
                    tally.fault(f"{path}: a newcomer was answered {status}")
                    await peer.stream.aclose()
                    continue
                step = "closed at once"
                await peer.send(text("x"))
                one = await peer.receive()
                if one is None or one.opcode == CLOSE:
                    tally.counts["closed at once"] += 1
                    tally.fault(f"{path}: a newcomer was closed at once: {one}")
                else:
                    tally.counts["answered"] += 1
                    await peer.send(close())
                    await peer.rest.frames(or_reset=True)
                await peer.stream.aclose()
        except (OSError, trio.BrokenResourceError, AssertionError, trio.TooSlowError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
                await trio.sleep(0.1)
                continue
            tally.counts[step] += 1
            tally.fault(f"{path}: {step}: {error!r}")
        await trio.sleep(0.005)


Steps = Callable[[Peer], Awaitable[None]]


async def staying(port: int, path: str, tally: Tally, kind: str, steps: Steps, window: int | None = None) -> None:
    """Keep one connection through all restarts; note how it ends, if it does."""
    peer = await opened(port, path, window=window)
    try:
        assert (await peer.head()).status == 101
        await steps(peer)
    except Closed as closed:
        tally.counts[f"{kind}: closed {closed}"] += 1
    except (trio.BrokenResourceError, AssertionError) as error:
        tally.counts[f"{kind}: broken"] += 1
        if isinstance(error, AssertionError):
            tally.fault(f"{kind}: {error}")
    finally:
        with trio.CancelScope(shield=True), suppress(OSError, trio.BrokenResourceError):
            await peer.stream.aclose()


class Closed(Exception):
    """The server closed the connection, with this code."""


async def receive(peer: Peer) -> bytes:
    one = await peer.receive()
    if one is None:
        raise Closed("without a close frame")
    if one.opcode == CLOSE:
        await peer.send(close(one.code))
        raise Closed(str(one.code))
    assert one.opcode in (TEXT, BINARY), one
    return one.payload


async def echo_for_ever(port: int, path: str, tally: Tally, pause: float = 0.05) -> None:
    """Send numbered messages in pairs, and check each answer."""

    async def steps(peer: Peer) -> None:
        number = 0
        while True:
            began = trio.current_time()
            await peer.send(text(str(number)), text(str(number + 1)))
            for expected in (number, number + 1):
                got = await receive(peer)
                assert got == str(expected).encode(), f"{got!r} came in place of {expected}"
            number += 2
            tally.counts["echoes"] += 2
            tally.longest_pause = max(tally.longest_pause, trio.current_time() - began)
            await trio.sleep(pause)

    await staying(port, path, tally, "echoing", steps)


async def stall(port: int, path: str, tally: Tally, until: trio.Event) -> None:
    """Ask for a megabyte and read nothing of it before the event; then all must be there."""

    async def steps(peer: Peer) -> None:
        await peer.send(frame(BINARY, str(STALLED).encode()), text("behind"))
        await until.wait()
        assert await receive(peer) == bytes(STALLED)
        assert await receive(peer) == b"behind"
        tally.counts["stalled: whole"] += 1

    await staying(port, path, tally, "stalled", steps, window=4096)


async def interrupt(port: int, path: str, tally: Tally) -> None:
    """Stand in the middle of a message in fragments."""

    async def steps(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"half", fin=False))
        assert await receive(peer) == b"halfhalf"
        tally.counts["interrupted: whole"] += 1

    await staying(port, path, tally, "interrupted", steps)
