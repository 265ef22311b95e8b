"""Many tasks on one outgoing connection at once, cancelled at random, against our own server on real sockets.

``WSFRAME_CHAOS_SEED=n`` replays a seed; ``WSFRAME_CHAOS_ROUNDS`` says how many are played after it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from random import Random

import pytest
import trio

from tests.certificates import Contexts, make_contexts
from tests.outgoing.places import serving
from tests.patience import PATIENCE
from wsframe import ConnectionClosed, Deflate, Limits, State, Timeouts, WebSocket, connect

SEED = int(os.environ.get("WSFRAME_CHAOS_SEED", "1"))
ROUNDS = int(os.environ.get("WSFRAME_CHAOS_ROUNDS", "4"))
SEEDS = range(SEED, SEED + ROUNDS)
KINDS = ("plain", "shared", "dedicated", "tls")
SENDERS, MESSAGES = 4, 25
# Small, so that senders have to wait, and messages have to wait for their receivers.
LIMITS = Limits(max_message=2**20, max_outbox=30_000, max_queued_messages=10, max_queued_bytes=50_000)


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    return make_contexts()


class Chaos:
    """One round: the actions on a connection, all drawn from the seed."""

    def __init__(self, seed: int, ws: WebSocket) -> None:
        self.random = Random(seed)
        self.ws = ws
        self.sent: list[str | bytes] = []
        self.received: list[str | bytes] = []
        self.latencies: list[float] = []

    def scope(self) -> trio.CancelScope:
        """Return a scope that cancels at once, soon or never."""
        return trio.move_on_after(self.random.choice((0, 0.0001, 0.001, 0.01, float("inf"), float("inf"))))

    async def send(self, name: int) -> None:
        for number in range(MESSAGES):
            data = f"{name}/{number} ".encode() * self.random.choice((1, 1, 10, 1000, 10_000))
            message = data if self.random.random() < 0.5 else data.decode()
            frame_size = self.random.choice((None, None, 500))
            with self.scope():
                if isinstance(message, str):
                    await self.ws.send_text(message, frame_size=frame_size)
                else:
                    await self.ws.send_binary(message, frame_size=frame_size)
                self.sent.append(message)

    async def ping(self) -> None:
        for number in range(10):
            with self.scope():
                self.latencies.append(await self.ws.ping(b"the same" if number % 2 else None))

    async def receive(self) -> None:
        with self.scope():
            self.received.append(await self.ws.receive())
        if self.random.random() < 0.05:
            await trio.sleep(0.005)

    async def receive_all(self) -> None:
        while self.received[-1:] != ["last"]:
            await self.receive()

    async def send_all(self) -> None:
        async with trio.open_nursery() as nursery:
            for name in range(SENDERS):
                nursery.start_soon(self.send, name)
        await self.ws.send("last")
        self.sent.append("last")

    async def until_closed(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            while True:
                await act()
                await trio.lowlevel.checkpoint()
        except* ConnectionClosed:
            pass


async def play(chaos: Chaos) -> None:
    """Have everything done at once until all is received."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chaos.receive_all)
        nursery.start_soon(chaos.ping)
        nursery.start_soon(chaos.ping)
        await chaos.send_all()


async def play_and_end(chaos: Chaos) -> None:
    """Have everything done at once, and end it in the middle; everybody is told."""
    ws = chaos.ws
    async with trio.open_nursery() as nursery:
        for act in (chaos.receive, chaos.ping, chaos.send_all):
            nursery.start_soon(chaos.until_closed, act)
        await trio.sleep(chaos.random.random() / 20)
        end = chaos.random.choice(("close", "closes", "abort", "server closes", "server aborts"))
        if end == "abort":
            ws.abort()
        elif end.startswith("server"):
            await ws.send("bye" if end == "server closes" else "abort")
            chaos.sent.append("bye")
        else:
            for code in range(4000, 4003 if end == "closes" else 4001):
                with chaos.scope():
                    await ws.close(code)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", [False, True])
async def test_whatever_is_cancelled_nothing_is_lost_torn_or_told_twice(
    seed: int,
    kind: str,
    ends: bool,
    contexts: Contexts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    print(f"WSFRAME_CHAOS_SEED={seed}")
    caplog.set_level(logging.ERROR, "wsframe")
    theirs, ours = contexts if kind == "tls" else (None, None)
    deflate = {"shared": Deflate.shared(threshold=0), "dedicated": Deflate.dedicated(threshold=0)}.get(kind)
    async with serving(ssl_context=theirs, deflate=deflate) as server:
        tasks = trio.lowlevel.current_statistics().tasks_living
        with trio.fail_after(PATIENCE):
            async with connect(
                f"{server.addresses[0]}/echo",
                ssl_context=ours,
                deflate=deflate,
                limits=LIMITS,
                timeouts=Timeouts(close=1, ping_interval=0.05, ping_timeout=PATIENCE),
            ) as ws:
                chaos = Chaos(seed, ws)
                await (play_and_end if ends else play)(chaos)
            assert ws.state is State.CLOSED
            while trio.lowlevel.current_statistics().tasks_living > tasks:  # noqa: ASYNC110
                await trio.sleep(0.01)
    assert chaos.received == chaos.sent[: len(chaos.received)]
    if not ends:
        assert len(chaos.received) == len(chaos.sent) > 1
        assert ws.closed_cleanly
        assert chaos.latencies
    assert not caplog.records
