"""Newcomers wait for a worker whose door is full, or that does not run, and keep nobody from the other workers."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Unpack

import pytest
import trio

import wsframe
from tests.patience import PATIENCE
from tests.server.worker_rooms import Peer, Slow, come, head, register, room_of
from tests.wire import until
from tests.workers.services import Service, opened
from wsframe import Capacity, Timeouts
from wsframe.server.local_server import LocalServer
from wsframe.workers.door import Passed, give, take

FEW = Capacity(max_pending_handshakes=10, max_clients=320)
MOST = 300
"""Newcomers that can be parked then."""


async def test_3_those_who_wait_in_a_door_are_answered_by_the_next_worker_of_the_slot(stack: ExitStack) -> None:
    service = Service(2, register)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await service.start(1, nursery)
            with stack:
                peers = [come(service, 1, head("/lobby"), stack) for _ in range(200)]
                passage = service.engines[1].admission.passage
                assert passage is not None
                await until(lambda: passage.counts.passed + len(passage.parked()) == 200)
                await service.start(0, nursery)
                assert Counter([await peer.worker() for peer in peers]) == {0: 200}
                assert not passage.parked()
            for engine in service.engines.values():
                engine.drain()
    service.close()


async def fill(service: Service, slot: int, stack: ExitStack) -> None:
    """Fill the door of a slot, in which nobody takes."""
    one, other = socket.socketpair()
    stack.callback(one.close)
    stack.callback(other.close)
    while give(service.doors[slot][0], one, Passed(0.0, 0, 0)):
        pass


def empty(service: Service, slot: int) -> int:
    count = 0
    while (found := take(service.doors[slot][1])) is not None:
        found[0].close()
        count += 1
    return count


async def test_4_a_full_door_keeps_nobody_from_the_other_workers(stack: ExitStack) -> None:
    service = Service(3, register)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for slot in (1, 2):
                await service.start(slot, nursery, capacity=FEW)
            with stack:
                await fill(service, 0, stack)
                late = [come(service, 1, head("/lobby"), stack) for _ in range(MOST + 20)]
                passage = service.engines[1].admission.passage
                assert passage is not None
                await until(lambda: len(passage.parked()) == MOST)
                for _ in range(5):
                    assert await come(service, 1, head(room_of(2, 3)), stack).worker() == 2
                    assert await come(service, 1, head("/feed"), stack).worker() == 1
                answers: Counter[str] = Counter()

                async def note(peer: Peer) -> None:
                    answers[await peer.status()] += 1

                for peer in late:
                    nursery.start_soon(note, peer)
                await until(lambda: answers["503"] == 20)  # beyond those that are parked
                assert len(passage.parked()) == MOST
                empty(service, 0)  # the worker takes again
                await service.start(0, nursery)
                await until(lambda: answers == {"101": MOST, "503": 20})
            for engine in service.engines.values():
                engine.drain()
    service.close()


async def test_12_those_who_are_parked_take_places_of_the_service(stack: ExitStack) -> None:
    """Not of their address, which can stand in a head that is not read before its owner does."""
    capacity = Capacity(max_clients=3, max_clients_per_address=1)
    async with parked(stack, capacity=capacity, timeouts=Timeouts(handshake=0.3)) as (engine, peers):
        await until(lambda: engine.places.reserved == 3)
        assert [await peer.status() for peer in peers] == ["503"] * 5
        await until(lambda: not engine.places.reserved)


@pytest.mark.parametrize("count", [2, 4])
async def test_12_a_burst_at_a_path_that_ends_slowly_waits_whole_at_whichever_workers(
    count: int, stack: ExitStack
) -> None:
    """More come than a door holds, or can be pending."""
    service = Service(count, register)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for slot in range(1, count):
                await service.start(slot, nursery, capacity=FEW)
            with stack:
                await fill(service, 0, stack)
                late = [come(service, 1 + number % 7 % (count - 1), head("/lobby"), stack) for number in range(MOST)]
                await until(lambda: sum(one.places.reserved for one in service.engines.values()) == MOST)
                empty(service, 0)
                await service.start(0, nursery, capacity=FEW)
                assert Counter([await peer.worker() for peer in late]) == {0: MOST}
            for engine in service.engines.values():
                engine.drain()
    service.close()


@asynccontextmanager
async def parked(
    stack: ExitStack, **options: Unpack[wsframe.ServeKeywords]
) -> AsyncIterator[tuple[LocalServer, list[Peer]]]:
    """Have five newcomers wait for the full door of a worker that does not run; give the worker that they came to."""
    service = Service(2, register)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await service.start(1, nursery, **options)
            with stack:
                await fill(service, 0, stack)
                yield service.engines[1], [come(service, 1, head("/lobby"), stack) for _ in range(5)]
            service.engines[1].drain()
    service.close()


async def test_3_a_newcomer_whose_worker_never_takes_is_answered_503_when_its_handshake_is_due(
    stack: ExitStack,
) -> None:
    async with parked(stack, timeouts=Timeouts(handshake=0.3)) as (_, peers):
        assert [await peer.status() for peer in peers] == ["503"] * 5


async def test_12_a_parked_newcomer_that_goes_gives_its_place_to_the_next(stack: ExitStack) -> None:
    async with parked(stack) as (engine, peers):
        passage = engine.admission.passage
        assert passage is not None
        await until(lambda: len(passage.parked()) == 5)
        for left, peer in enumerate(reversed(peers)):
            peer.sock.close()
            if left == 4:
                await until(lambda: not passage.parked())


async def test_3_a_drain_answers_those_who_are_parked(stack: ExitStack) -> None:
    async with parked(stack, timeouts=Timeouts(drain=0.4)) as (engine, peers):
        passage = engine.admission.passage
        assert passage is not None
        await until(lambda: len(passage.parked()) == 5)
        engine.drain()
        assert [await peer.status() for peer in peers] == ["503"] * 5


async def test_3_one_that_waited_too_long_in_a_door_is_answered_503_if_it_cannot_be_let_in_at_once(
    stack: ExitStack,
) -> None:
    async with opened(2, register, timeouts=Timeouts(handshake=5)) as service:
        with stack:
            for path, status in (("/slow", "503"), ("/lobby", "101")):
                listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                peer = Peer(listening.getsockname())
                stack.callback(peer.sock.close)
                accepted, _ = listening.accept()
                peer.send(head(path))
                with accepted:
                    assert give(service.doors[0][0], accepted, Passed(-1000.0, 0, 0))
                assert await peer.status() == status


async def test_4_a_slow_decision_of_one_path_keeps_nobody_from_other_workers(stack: ExitStack) -> None:
    capacity = Capacity(max_pending_handshakes=20)
    async with opened(2, register, capacity=capacity) as service:
        with stack:
            slow = [come(service, 1, head("/slow"), stack) for _ in range(200)]
            await until(lambda: not service.engines[0].admission.pending.has_room())
            for _ in range(20):
                assert await come(service, 1, head(room_of(1, 2)), stack).worker() == 1
                assert await come(service, 1, head("/feed"), stack).worker() == 1
            resource = service.server(0).find("/slow")
            assert isinstance(resource, Slow)
            resource.decide.set()
            assert {await peer.status() for peer in slow} == {"101"}
