"""Two hundred hostile peers at once: one honest client notices nothing, and nothing is left of them."""

import gc
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from tests.hostile.place import Place, Recorder, Served, until
from tests.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, Peer, frame, upgrade
from wsframe import Capacity, Limits, Timeouts

PEERS = 200
LIMITS = Limits(max_message=100_000, max_queued_messages=20, max_outbox=200_000, unsent_low_water=16384)
# The honest one has them too, and the machine may be slow.
TIMEOUTS = Timeouts(handshake=20, ping_interval=0.5, ping_timeout=20, write_stall=20, close=20, drain=20)

Behaviour = Callable[[Served, random.Random], Awaitable[None]]


async def garbage(served: Served, dice: random.Random) -> None:
    peer = await served.connect()
    await peer.send(dice.randbytes(dice.randrange(1, 3000)))
    await peer.end()


async def garbage_in_clear(served: Served, dice: random.Random) -> None:
    peer = await served.connect(plain=True)
    await peer.send(dice.randbytes(dice.randrange(1, 3000)))
    await peer.end()


async def half_a_head(served: Served, dice: random.Random) -> None:
    peer = await served.connect()
    await peer.send(upgrade()[: dice.randrange(10, 100)])
    if dice.random() < 0.5:
        await peer.end()


async def nowhere(served: Served, dice: random.Random) -> None:
    await (await served.connect()).upgrade("/nowhere")


async def stall(served: Served, dice: random.Random) -> None:
    peer = await served.open(receive_buffer=4096)
    await peer.text(*["x" * 5000] * 200)
    await trio.sleep(dice.random())


async def flood(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.send(frame(TEXT, "tiny") * dice.randrange(1, 2000))
    await peer.stream.receive_some(100)


async def ping_flood(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.send(frame(PING, b"x") * 2000)


async def violate(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    bad = [
        frame(TEXT, "x", mask=None),
        frame(3),
        frame(TEXT, b"\xff"),
        frame(CONTINUATION),
        frame(BINARY, length=2**40),
    ]
    await peer.send(frame(TEXT, "good"), dice.choice(bad), dice.randbytes(100))
    await peer.end()


async def noise(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.send(dice.randbytes(dice.randrange(1, 5000)))
    if dice.random() < 0.5:
        await peer.end()


async def break_off(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.text("hello")
    await peer.send(frame(TEXT, "x" * 300)[: dice.randrange(300)])


async def half_close(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.text("a", "b")
    peer.half_close()
    await peer.end()


async def close_and_stay(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.close(1000)
    await peer.rest.until_close()
    await trio.sleep(dice.random())


async def send_after_close(served: Served, dice: random.Random) -> None:
    peer = await served.open()
    await peer.send(frame(CLOSE), frame(TEXT, "late") * 100)
    await peer.end()


async def silence(served: Served, dice: random.Random) -> None:
    await (await served.open()).end()


BEHAVIOURS: list[Behaviour] = [
    garbage, garbage_in_clear, half_a_head, nowhere, stall, flood, ping_flood, violate, noise,
    break_off, half_close, close_and_stay, send_after_close, silence,
]  # fmt: skip


async def misbehave(served: Served, behaviour: Behaviour, dice: random.Random) -> None:
    """Behave badly, then leave in one of two ways; the server's reaction is expected."""
    own = Served(served.server, served._tls)
    with trio.move_on_after(3):
        with suppress(trio.BrokenResourceError, AssertionError, OSError):
            await behaviour(own, dice)
    for peer in own.peers:
        leave(peer, dice)


def leave(peer: Peer, dice: random.Random) -> None:
    if dice.random() < 0.5:
        peer.reset()
    else:
        peer.hang_up()


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")
async def test_storm_harms_nobody_and_leaves_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(20)
    resource = Recorder()
    capacity = Capacity(max_clients=150, max_pending_handshakes=50)
    async with place.serve(resource, limits=LIMITS, timeouts=TIMEOUTS, capacity=capacity) as served:
        honest = await served.open()
        await honest.text("first")
        assert await honest.message() == "first"
        await trio.testing.wait_all_tasks_blocked()
        before, held = (tasks(), served.server.statistics()[:3]), descriptors()
        over = trio.Event()
        echoes = 0

        async def echo() -> None:
            nonlocal echoes
            while not over.is_set() or echoes < 4:
                await honest.text(f"honest {echoes}")
                assert await honest.message() == f"honest {echoes}"
                echoes += 1
                await trio.sleep(0.005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            async with trio.open_nursery() as storm:
                for number in range(PEERS):
                    behaviour = BEHAVIOURS[number % len(BEHAVIOURS)]
                    storm.start_soon(misbehave, served, behaviour, random.Random(dice.random()))
            over.set()
        assert echoes > 3
        await until(lambda: served.server.statistics()[:3] == before[1])
        await trio.testing.wait_all_tasks_blocked()
        assert (tasks(), served.server.statistics()[:3]) == before
        assert descriptors() <= held  # fewer where an earlier test's socket has been collected
        assert list(resource.clients) == resource.arrived[:1]
        ends = [entry for entry in resource.log if entry.startswith("-1")]
        assert len(ends) == resource.log.count("+") - 1
        assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
