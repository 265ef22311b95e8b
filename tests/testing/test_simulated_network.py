"""Streams between simulated processes."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from wsframe.testing.simulated_network import LONGEST_DELAY, ROOM, SimulatedLink


async def received(stream: trio.abc.ReceiveStream) -> bytes:
    """Return all bytes up to the end."""
    found = b""
    while data := await stream.receive_some():
        found += data
    return found


async def test_bytes_arrive_in_order_and_take_their_time(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    begun = trio.current_time()
    for number in range(10):
        await link.node.send_all(b"%d" % number)
    await link.node.aclose()
    assert await received(link.relay) == b"0123456789"
    assert 0 < trio.current_time() - begun <= LONGEST_DELAY


async def test_a_receiver_gets_no_more_than_it_asks_for(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    await link.node.send_all(b"abcdef")
    assert [await link.relay.receive_some(4), await link.relay.receive_some(4)] == [b"abcd", b"ef"]


async def test_a_sender_waits_for_room(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    await link.node.send_all(bytes(ROOM))
    with trio.move_on_after(10) as waiting:
        await link.node.send_all(b"x")
    assert waiting.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.node.send_all, b"x")
        assert len(await link.relay.receive_some()) == ROOM


async def test_the_end_of_a_node_comes_after_its_bytes(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    await link.node.send_all(b"last words")
    link.end()
    assert link.broken
    assert await received(link.relay) == b"last words"
    with pytest.raises(trio.BrokenResourceError):
        await link.node.receive_some()


async def test_a_cut_loses_the_bytes_on_their_way(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    await link.node.send_all(b"lost")
    await link.relay.send_all(b"lost")
    link.cut()
    for stream in (link.node, link.relay):
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")


async def test_a_cut_ends_the_wait_for_room(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    await link.node.send_all(bytes(ROOM))
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await link.node.send_all(b"x")

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        link.cut()


async def test_a_stalled_link_delivers_later(autojump_clock: MockClock) -> None:
    link = SimulatedLink(Random(1))
    await link.node.send_all(b"late")
    link.stall(trio.current_time() + 5)
    begun = trio.current_time()
    assert await link.relay.receive_some() == b"late"
    assert trio.current_time() - begun >= 5
