"""Keepalive: a silent peer is pinged, then dropped; one that answers stays."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, until
from tests.pollers import POLLERS
from tests.wire import PING, PONG, frame
from wsframe import Timeouts
from wsframe.connection.lead import ListenerBell
from wsframe.connection.link import Link
from wsframe.connection.mailbox import Inbox
from wsframe.connection.reactor import Reactor
from wsframe.hooks.listener import Listener
from wsframe.net.poller import PollerName
from wsframe.protocol.pool import ConnectionPool
from wsframe.resources.resource import Ordering
from wsframe.testing import open_client, open_kit

Lines = Callable[[], list[str]]


async def test_silent_peer_is_pinged_and_then_reset(autojump_clock: MockClock, info: Lines) -> None:
    resource = Recorder()
    async with open_client(resource, timeouts=Timeouts(ping_interval=20, ping_timeout=15)) as client:
        client.answer_pings = False
        start = trio.current_time()
        assert (await client.receive_frame()).opcode == PING
        assert trio.current_time() - start == pytest.approx(20)
        assert (await client.closed(), client.end) == ((1006, ""), "reset")
        assert trio.current_time() - start == pytest.approx(35)
        await resource.until(lambda: "-1006" in resource.log)
        assert info() == ["127.0.0.1:50001 /: closed 1006 (ping timeout)"]


async def test_peer_that_answers_pings_stays_and_its_latency_is_measured(autojump_clock: MockClock) -> None:
    resource = Recorder()
    async with open_client(resource, timeouts=Timeouts(ping_interval=20, ping_timeout=5)) as peer:
        peer.answer_pings = False
        for _ in range(100):
            ping = await peer.receive_frame()
            assert ping.opcode == PING
            await trio.sleep(3)
            peer.send_frame(PONG, ping.payload)
        await wait_all_tasks_blocked()
        assert resource.arrived[0].statistics().latency == pytest.approx(3)
        assert resource.log == ["+"], "our own keepalive is no news for the hooks"


async def test_next_ping_comes_an_interval_after_the_pong_however_long_the_timeout(autojump_clock: MockClock) -> None:
    async with open_client(Recorder(), timeouts=Timeouts(ping_interval=10, ping_timeout=6000)) as client:
        for number in range(1, 4):
            assert (await client.receive_frame()).opcode == PING
            assert trio.current_time() == pytest.approx(10 * number)


async def test_any_sign_of_life_answers_a_ping(autojump_clock: MockClock) -> None:
    async with open_client(Recorder(), timeouts=Timeouts(ping_interval=10, ping_timeout=10)) as client:
        client.answer_pings = False
        for number in range(10):
            assert (await client.receive_frame()).opcode == PING
            await trio.sleep(9)
            client.send_text(str(number))
            assert await client.receive_text() == str(number)


async def test_no_pings_without_an_interval(autojump_clock: MockClock) -> None:
    async with open_client(Recorder(), timeouts=Timeouts(ping_interval=None), patience=10_000) as client:
        with pytest.raises(trio.TooSlowError):
            await client.receive_frame()


async def test_paused_peer_is_not_pinged_to_death(autojump_clock: MockClock) -> None:
    """Its pong would wait behind data that we do not read."""
    resource = Recorder()
    limits = wsframe.Limits(max_queued_messages=1)
    timeouts = Timeouts(ping_interval=10, ping_timeout=10)
    async with open_client(resource, limits=limits, timeouts=timeouts) as client:
        for message in ("wait", "1", "2", "3"):
            client.send_text(message)
        await resource.until(lambda: "wait" in resource.log)
        await trio.sleep(1000)
        assert client.end is None
        resource.gate.set()
        assert [await client.receive() for _ in range(4)] == ["wait", "1", "2", "3"]


@pytest.mark.parametrize("run", range(8))
async def test_deadlines_that_passed_while_the_machine_stood_still_wait_for_what_has_come(
    autojump_clock: MockClock, run: int
) -> None:
    """The reactor and the timer wake up together, and trio runs either first."""

    class Still(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            if message == "close":
                client.close(4000)
            else:
                closing.close(4000)  # its answer is in the kernel now
                autojump_clock.jump(100)

    resource = Still()
    async with open_kit(resource) as kit:
        closing, other = await kit.connect(patience=10_000), await kit.connect(patience=10_000)
        closing.answer_close = False
        closing.send_text("close")
        await wait_all_tasks_blocked()
        other.send_text("stand still")
        assert await closing.closed() == (4000, "")
        await resource.until(lambda: resource.log[-1].startswith("-"))
        assert resource.log == ["+", "+", "-4000"]


async def test_users_ping_and_latency(place: Place) -> None:
    class Ponged(Recorder):
        async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
            self.note(f"pong {payload.decode()}")

    resource = Ponged()
    async with place.serve(resource) as served:
        peer = await served.open()
        await resource.until(lambda: resource.arrived)
        client = resource.arrived[0]
        client.ping(b"mine")
        latencies: list[float | None] = []

        async def measure() -> None:
            latencies.append(await client.measure_latency())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure)
            for _ in range(2):
                found = await peer.receive()
                assert found is not None
                await peer.send(frame(PONG, found.payload))
        assert latencies[0] is not None
        await peer.send(frame(PONG, b"unasked"))
        await resource.until(lambda: "pong unasked" in resource.log)
        assert resource.log == ["+", "pong mine", "pong unasked"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure)
            await peer.receive()
            peer.reset()
        assert latencies[1] is None


async def test_bug_in_one_links_turn_costs_that_client_alone(
    plain: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take = Link.take

    def broken(link: Link, data: bytearray) -> None:
        if b"\x89\x84\0\0\0\0bomb" in bytes(data):
            raise RuntimeError("a bug of ours")
        take(link, data)

    monkeypatch.setattr(Link, "take", broken)
    resource = Recorder()
    async with plain.serve(resource) as served:
        victim, other = await served.open(), await served.open()
        await victim.send(frame(PING, "bomb", mask=b"\0\0\0\0"))
        assert await victim.end() == "reset"
        await other.text("fine")
        assert await other.message() == "fine"
        await resource.until(lambda: "-1006" in resource.log)
        assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True]


@pytest.mark.parametrize("ordering", ["resource", "client"])
@pytest.mark.parametrize("step", [(Inbox, "__init__"), (ConnectionPool, "add")])
async def test_newcomer_that_cannot_be_adopted_leaves_nothing_behind(
    plain: Place, monkeypatch: pytest.MonkeyPatch, ordering: Ordering, step: tuple[type, str]
) -> None:
    class Ordered(Recorder):
        pass

    Ordered.ordering = ordering
    resource = Ordered()
    async with plain.serve(resource) as served:
        first = await served.open()
        await resource.until(lambda: resource.log == ["+"])
        listener = resource._listener
        assert isinstance(listener, Listener)
        turns = len(listener.turns)
        with monkeypatch.context() as broken:

            def fail(*args: object, **named: object) -> None:
                raise RuntimeError("a bug of ours")

            broken.setattr(*step, fail)
            peer = await served.open()
            await peer.end()
            await until(lambda: not served.server.statistics().pending_handshakes)
        assert len(listener.turns) == turns
        assert served.server.clients == served.server.statistics().reserved == 1
        other = await served.open()
        for one in (first, other):
            await one.text("fine")
            assert await one.message() == "fine"
    assert resource.log.count("+") == 2


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_reactor_that_has_ended_leaves_no_lead_and_no_poller_to_wake(poller: PollerName) -> None:
    async with trio.open_nursery() as nursery:
        reactor = Reactor(ConnectionPool(), poller, 1 << 20)
        await nursery.start(reactor.run)
        bell = ListenerBell()
        bell.lead = lead = reactor.lead
        lead.bell = lead.at_poller = bell
        nursery.cancel_scope.cancel()
    assert bell not in (lead.bell, lead.at_poller)
    bell.ring()
    assert bell.rung
