"""Newcomers whose resource lives on another machine ask its owner in turn: all of a crowd get in."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.patience import PATIENCE
from wsframe import Registry, Request, Resource
from wsframe.http.responses import Reject
from wsframe.net.client_facts import ClientFacts
from wsframe.net.transport import Transport
from wsframe.server.peers import dialing
from wsframe.server.peers.dialing import Dialer
from wsframe.server.peers.keys import Keys
from wsframe.testing import Cluster, MemoryClient, Refused, open_cluster

CROWD = 1000
SETTINGS = wsframe.Cluster(lease_seconds=2.0)


class Room(Resource):
    """Lets newcomers in after a moment."""

    scope = "path"

    def __init__(self, decides_after: float) -> None:
        self.decides_after = decides_after

    async def accept_client(self, request: Request) -> None:
        await trio.sleep(self.decides_after)


async def come_at_once(cluster: Cluster, count: int) -> Counter[int]:
    """Have newcomers come to one path in one instant, at servers that do not have it; count the statuses."""
    answers: Counter[int] = Counter()
    clients: list[MemoryClient] = []
    await cluster.nodes[0].connect("/room/a")
    (owner,) = (node for node in cluster.nodes if node.server.clients)
    (edge,) = (node for node in cluster.nodes if node is not owner)

    async def come() -> None:
        try:
            clients.append(await edge.connect("/room/a", patience=30))
        except Refused as refused:
            answers[refused.status] += 1
        else:
            answers[101] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(come)
    return answers


@pytest.mark.parametrize(("crowd", "decides_after"), [(CROWD, 0.0), (CROWD // 2, 0.2)])
async def test_a_crowd_at_another_server_gets_in(crowd: int, decides_after: float, autojump_clock: MockClock) -> None:
    def make(number: int) -> Registry:
        registry = Registry(alone=True)
        factory = lambda request: Room(decides_after)  # noqa: E731
        registry.register_factory("/room/{name}", factory, wsframe.any_origin, scope="path")
        return registry

    capacity = wsframe.Capacity(max_clients=2 * CROWD)
    async with open_cluster(make, nodes=2, cluster=SETTINGS, capacity=capacity) as cluster:
        assert await come_at_once(cluster, crowd) == {101: crowd}


class Silent:
    """An owner that never answers, and the line for it."""

    def __init__(self) -> None:
        self.reached = 0
        self.moved = False
        self.answers: list[Transport | Reject | None] = []
        keys = Keys("127.0.0.1:1/0/a", None, "16 letters or more")  # type: ignore[arg-type]
        self.dialer = Dialer(keys, self.connect, lambda: 0.0)

    async def connect(self, host: str, port: int) -> Transport:
        self.reached += 1
        await trio.sleep_forever()
        raise AssertionError

    async def dial(self, node: str = "10.0.0.1:2/0/b", *, patient: bool = True) -> None:
        has = lambda: not self.moved  # noqa: E731
        facts = ClientFacts(host="192.0.2.1", port=1)
        try:
            self.answers.append(await self.dialer.dial(node, 0, facts, has, patient=patient))
        except Reject as error:
            self.answers.append(error)


async def test_a_line_for_an_owner_that_has_lost_the_partition_is_over(autojump_clock: MockClock) -> None:
    owner = Silent()
    async with trio.open_nursery() as nursery:
        for _ in range(3 * dialing.MOST_DIALING):
            nursery.start_soon(owner.dial)
        await wait_all_tasks_blocked()
        assert (len(owner.dialer), owner.dialer.in_line) == (dialing.MOST_DIALING, 2 * dialing.MOST_DIALING)
        owner.moved = True
    assert owner.answers == [None] * (3 * dialing.MOST_DIALING)
    assert owner.reached == dialing.MOST_DIALING
    assert (len(owner.dialer), owner.dialer.in_line, owner.dialer._lines) == (0, 0, {})


async def test_invariant_12_a_line_is_bounded_and_that_of_another_owner_is_not_in_its_way(
    autojump_clock: MockClock,
) -> None:
    owner = Silent()
    most = dialing.MOST_DIALING + dialing.MOST_IN_LINE
    async with trio.open_nursery() as nursery:
        for _ in range(most):
            nursery.start_soon(owner.dial)
        await wait_all_tasks_blocked()
        await owner.dial()
        assert [str(one) for one in owner.answers] == [str(owner.answers[0])]
        assert isinstance(owner.answers[0], Reject)
        nursery.start_soon(owner.dial, "10.0.0.2:2/0/c")
        await wait_all_tasks_blocked()
        assert len(owner.dialer) == dialing.MOST_DIALING + 1
        nursery.cancel_scope.cancel()
    assert owner.dialer._lines == {}


async def test_one_that_counts_as_pending_does_not_stand_in_line(autojump_clock: MockClock) -> None:
    owner = Silent()
    async with trio.open_nursery() as nursery:
        for _ in range(dialing.MOST_DIALING):
            nursery.start_soon(partial(owner.dial, patient=False))
        await wait_all_tasks_blocked()
        await owner.dial(patient=False)
        assert isinstance(owner.answers[0], Reject)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["a\0b", "\ud800", "x" * 300, "a..b", "\u2603" * 80])
async def test_an_owner_of_an_odd_name_cannot_be_reached(host: str) -> None:
    keys = Keys("127.0.0.1:1/0/a", None, "16 letters or more")  # type: ignore[arg-type]
    dialer = Dialer(keys, dialing.connected, lambda: 0.0)
    facts = ClientFacts(host="192.0.2.1", port=1)
    assert await dialer.dial(f"{host}:1/0/b", 0, facts, lambda: True, patient=True) is None


@pytest.mark.parametrize("answer", [b"", b"\x07", b"HTTP/1.1 400\r\n\r\n", b"\x16\x03\x01"])
async def test_an_owner_that_answers_anything_else_does_not_take_the_newcomer(answer: bytes) -> None:
    keys = Keys("127.0.0.1:1/0/a", None, "16 letters or more")  # type: ignore[arg-type]
    facts = ClientFacts(host="192.0.2.1", port=1)
    with trio.fail_after(PATIENCE):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]

        async def odd(stream: trio.SocketStream) -> None:
            await stream.receive_some(10_000)
            await stream.send_all(answer or b"\0")
            await stream.aclose()

        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, odd, listeners)
            dialer = Dialer(keys, dialing.connected, lambda: 0.0)
            assert await dialer.dial(f"127.0.0.1:{port}/0/b", 0, facts, lambda: True, patient=True) is None
            nursery.cancel_scope.cancel()
