"""Newcomers that the old worker of a rolling restart has not answered in time get their answer from the new one."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

import wsframe
from tests.handing import Goer
from tests.patience import PATIENCE
from tests.server.handover.test_predecessor import echoes
from tests.server.passing.test_parked_newcomers import parked
from tests.server.service.test_generation import Side, two
from tests.wire import Peer, connected, head, stream_to, text, until
from wsframe import Timeouts
from wsframe.server.handover.unanswered import Arrivals, Unanswered
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.sockets.listen import Bound
from wsframe.workers.socket_exchange import Received, SocketExchange, make_exchange

if not hasattr(socket, "SOCK_SEQPACKET"):
    pytest.skip("this system has no SOCK_SEQPACKET", allow_module_level=True)

LONG = Timeouts(drain=PATIENCE)


@pytest.fixture(autouse=True)
def late_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have newcomers be late after half a second, and the rest of a drain be long."""
    monkeypatch.setattr("wsframe.server.drain.FINISHING", 0.5 / PATIENCE)


class Slow(Goer):
    """Decides about newcomers at ``/?slow`` for as long as it is told to."""

    def __init__(self, decide: Callable[[], Awaitable[object]] = trio.sleep_forever) -> None:
        super().__init__()
        self.decide = decide
        self.asked = 0

    async def accept_client(self, request: wsframe.Request) -> wsframe.Accept:
        self.asked += 1
        if request.query_string == "slow":
            await self.decide()
        return wsframe.Accept(data=request.query_string)


class Quick(Slow):
    """Lets everybody in at once."""

    def __init__(self) -> None:
        super().__init__(trio.lowlevel.checkpoint)


async def uncancellable(free: threading.Event) -> None:
    """Wait in a thread, which no cancellation ends."""
    await trio.to_thread.run_sync(free.wait)


@asynccontextmanager
async def restarting(
    old: wsframe.Resource, new: wsframe.Resource, **options: Any
) -> AsyncIterator[tuple[Side, Side, trio.Nursery]]:
    options.setdefault("timeouts", LONG)
    async with two({"/": old}, {"/": new}, **options) as (first, second), trio.open_nursery() as nursery:
        yield first, second, nursery
        nursery.cancel_scope.cancel()


async def come(side: Side, done: trio.Event, word: str, target: str = "/?slow") -> None:
    """Come, and exchange a word once in."""
    async with connected(side.server, target) as newcomer:
        await echoes(newcomer, word)
        done.set()
        await trio.sleep_forever()


@asynccontextmanager
async def raw_peer(side: Side) -> AsyncIterator[Peer]:
    async with stream_to(side.server) as stream:
        yield Peer(stream)


@pytest.mark.parametrize("kind", ["cancellable", "uncancellable"])
async def test_workers_7_a_slow_accept_client_costs_nobody_the_hand_over(kind: str) -> None:
    free, answered = threading.Event(), trio.Event()
    old, new = Slow(trio.sleep_forever if kind == "cancellable" else partial(uncancellable, free)), Quick()
    try:
        async with (
            restarting(old, new) as (first, second, nursery),
            connected(first.server) as peer,
        ):
            await echoes(peer, "1")
            nursery.start_soon(come, first, answered, "2")
            await until(lambda: old.asked == 2)
            await first.leave(tell=second)
            await echoes(peer, "3")
            free.set()
            await answered.wait()
            assert new.count == 3
            assert new.asked == 1
    finally:
        free.set()
    assert "restored" in new.notes
    assert not [note for note in old.notes if note.startswith("disconnected")]


async def test_workers_7_frames_that_a_late_newcomer_has_sent_already_go_along() -> None:
    old, new = Slow(), Quick()
    async with (
        restarting(old, new) as (first, second, _),
        connected(first.server) as peer,
        raw_peer(first) as late,
    ):
        await echoes(peer, "1")
        await late.send(head("/?slow", {"X-Mark": "kept"}) + text("early"))
        await until(lambda: old.asked == 2)
        await first.leave(tell=second)
        assert (await late.head()).status == 101
        assert await late.receive_text() == "early"
        (one,) = [client for client in new.clients if client.request.query_string == "slow"]
        assert one.request.headers["x-mark"] == "kept"
        await echoes(peer, "2")


async def test_workers_3_a_connection_on_which_nothing_has_come_yet_goes_along() -> None:
    async with restarting(Slow(), Quick()) as (first, second, _), raw_peer(first) as late:
        await until(lambda: first.engine.admission.pending.under_way)
        await first.leave(tell=second)
        await until(lambda: second.engine.admission.pending.under_way)
        await late.send(head("/"))
        assert (await late.head()).status == 101


async def test_workers_3_a_newcomer_whose_life_begins_slowly_is_answered_by_the_next() -> None:
    begun, left = trio.Event(), trio.Event()

    def make(kind: type[Goer], request: wsframe.Request) -> Goer:
        return kind()

    class Beginner(Goer):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            begun.set()
            try:
                await trio.Event().wait()
                yield
            finally:
                left.set()

    answered = trio.Event()
    async with restarting(Goer(), Goer()) as (first, second, nursery):
        kinds: list[type[Goer]] = [Beginner, Goer]
        for side, kind in zip((first, second), kinds, strict=True):
            (registry,) = side.engine.roster.registries
            registry.register_factory("/rooms/{room}", partial(make, kind))
        nursery.start_soon(come, first, answered, "1", "/rooms/red")
        await begun.wait()
        await first.leave(tell=second)
        assert left.is_set()
        await answered.wait()


@pytest.mark.parametrize("status", [200, 503])
async def test_workers_3_a_request_for_a_page_is_answered_where_it_is(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler can have done something by then; it has the time of the clients that leave."""
    if status == 503:
        monkeypatch.setattr("wsframe.server.drain.LEAVING", 0.6 / PATIENCE)

    async def page(request: wsframe.Request) -> wsframe.Response:
        asked.set()
        await may_answer.wait()
        return wsframe.Response("whole")

    asked, may_answer = trio.Event(), trio.Event()
    async with restarting(Slow(), Quick(), http_handler=page) as (first, second, _), raw_peer(first) as late:
        await late.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asked.wait()
        await first.leave(tell=second)
        if status == 200:
            may_answer.set()
        assert (await late.answer()).status == status


@pytest.mark.parametrize("begun", [b"\r\n", head("/")[:1], head("/")[:-2]])
async def test_workers_3_a_part_of_a_request_goes_along(begun: bytes) -> None:
    whole = b"\r\n" * (begun == b"\r\n") + head("/", {"X-Mark": "kept"})
    new = Quick()
    async with restarting(Slow(), new) as (first, second, _), raw_peer(first) as late:
        await late.send(whole[: len(begun)])
        await until(lambda: any(one.begun for one in first.engine.admission.pending.under_way))
        await first.leave(tell=second)
        await until(lambda: second.engine.admission.pending.under_way)
        await late.send(whole[len(begun) :])
        assert (await late.head()).status == 101
        await until(lambda: [client.request.headers["x-mark"] for client in new.clients] == ["kept"])


@pytest.mark.parametrize(("heard", "proxy"), [(False, False), (True, True)])
async def test_workers_3_one_whose_first_bytes_only_this_worker_has_gets_the_time_of_all(
    *, heard: bool, proxy: bool, stack: ExitStack
) -> None:
    with stack:
        ours, theirs = make_exchange()
        stack.callback(theirs.close)
        stack.callback(ours.close)
        one, other = pair(stack)
        newcomer = Newcomer(one, "127.0.0.1", 1, Bound(sock=other, proxy_protocol=proxy))
        newcomer.limit(10)
        newcomer.transport.heard = heard
        unanswered = Unanswered()
        unanswered.lineage = ours
        now = trio.current_time()
        unanswered.hurry([newcomer], now + 2, now + 6)
        assert (newcomer.scope.deadline == now + 2) == heard


async def test_workers_3_those_that_are_parked_for_another_worker_go_along_unread(stack: ExitStack) -> None:
    ours, theirs = make_exchange()
    next_one = SocketExchange(theirs)
    try:
        async with parked(stack, timeouts=LONG) as (engine, peers):
            passage = engine.admission.passage
            assert passage is not None
            await until(lambda: len(passage.parked()) == len(peers))
            engine.admission.unanswered.lineage = ours
            arrivals, came = Arrivals(), list[Newcomer]()
            engine.drain()
            arrivals.take(await next_one.receive())  # comes before there is a server
            arrivals.open([Bound(sock=one.sock) for one in engine._bound], came.append)
            while len(came) < len(peers):
                arrivals.take(await next_one.receive())
            for newcomer in came:
                assert newcomer.unread
                assert newcomer.partition == 0
                assert newcomer.receive_at_once().startswith(b"GET /lobby ")
                newcomer.transport.close()
            assert not passage.parked()
    finally:
        ours.close()
        next_one.close()


def pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    stack.callback(one.close)
    stack.callback(other.close)
    return one, other


@pytest.mark.parametrize("document", [["newcomer"], ["newcomer", 0.0, 7, None, False, False], ["newcomer", *"abcde"]])
def test_a_message_of_another_version_costs_its_newcomer_alone(
    document: list[object], stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    arrivals = Arrivals()
    arrivals.open([], lambda newcomer: pytest.fail(newcomer.name))
    one, other = pair(stack)
    with stack:
        descriptors = [one.dup().detach()]
        one.close()
        arrivals.take(Received(document, descriptors))
        assert other.recv(1) == b"", "nobody holds the connection any more"
        assert descriptors == []
    assert "a newcomer of the predecessor is lost" in caplog.text


def test_those_that_come_to_a_server_that_never_begins_are_let_go(stack: ExitStack) -> None:
    arrivals = Arrivals()
    one, other = pair(stack)
    with stack:
        arrivals.take(Received(["newcomer", 0.0, 0, None, False, False], [one.dup().detach()]))
        one.close()
        arrivals.close()
        assert other.recv(1) == b""


async def test_workers_3_newcomers_that_the_next_worker_cannot_take_are_answered_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = make_exchange()
    theirs.close()
    old = Slow()
    async with restarting(old, Quick()) as (first, _, _), raw_peer(first) as late:
        await late.send(head("/?slow"))
        await until(lambda: old.asked)
        first.engine.admission.unanswered.lineage = ours
        first.engine.admission.drain(0)
        assert (await late.head()).status == 503
        ours.close()
    assert "the next worker does not take it" in caplog.text
