"""Keepalive: a silent peer is pinged, then dropped; one that answers stays."""

from collections.abc import Callable

import pytest
import trio

import wsframe
from tests.hostile.peer import PING, PONG, frame
from tests.hostile.place import Place, Recorder, until
from wsframe import Timeouts
from wsframe.link import Link
from wsframe.mailbox import Inbox
from wsframe.protocol.pool import ConnectionPool
from wsframe.resource import Ordering

Lines = Callable[[], list[str]]


async def test_silent_peer_is_pinged_and_then_reset(place: Place, info: Lines) -> None:
    resource = Recorder()
    async with place.serve(resource, timeouts=Timeouts(ping_interval=0.2, ping_timeout=0.2)) as served:
        peer = await served.open()
        found = await peer.frame()
        assert found is not None
        assert found.opcode == PING
        assert await peer.end() == "reset"
        await resource.until(lambda: "-1006" in resource.log)
        assert info() == [f"{peer.name} /: closed 1006 (ping timeout)"]


async def test_peer_that_answers_pings_stays_and_its_latency_is_measured(place: Place) -> None:
    resource = Recorder()
    async with place.serve(resource, timeouts=Timeouts(ping_interval=0.1, ping_timeout=0.1)) as served:
        peer = await served.open()
        for _ in range(4):
            found = await peer.frame()
            assert found is not None
            assert found.opcode == PING
            await peer.send(frame(PONG, found.payload))
        client = resource.arrived[0]
        await until(lambda: client.statistics().latency is not None)
        assert 0 < (client.statistics().latency or 0) < 1
        assert resource.log == ["+"], "our own keepalive is no news for the hooks"


async def test_next_ping_comes_an_interval_after_the_pong_however_long_the_timeout(plain: Place) -> None:
    async with plain.serve(Recorder(), timeouts=Timeouts(ping_interval=0.1, ping_timeout=60)) as served:
        peer = await served.open()
        with trio.fail_after(20):
            for _ in range(3):
                found = await peer.frame()
                assert found is not None
                assert found.opcode == PING
                await peer.send(frame(PONG, found.payload))


async def test_any_sign_of_life_answers_a_ping(plain: Place) -> None:
    async with plain.serve(Recorder(), timeouts=Timeouts(ping_interval=0.1, ping_timeout=0.1)) as served:
        peer = await served.open()
        for number in range(3):
            found = await peer.frame()
            assert found is not None
            assert found.opcode == PING
            await peer.text(str(number))
            assert await peer.message() == str(number)


async def test_no_pings_without_an_interval(plain: Place) -> None:
    async with plain.serve(Recorder(), timeouts=Timeouts(ping_interval=None)) as served:
        peer = await served.open()
        with trio.move_on_after(0.3):
            await peer.frame()
            pytest.fail("a ping")


async def test_paused_peer_is_not_pinged_to_death(plain: Place) -> None:
    """Its pong would wait behind data that we do not read."""
    resource = Recorder()
    limits = wsframe.Limits(max_queued_messages=1)
    timeouts = Timeouts(ping_interval=0.1, ping_timeout=0.1)
    async with plain.serve(resource, limits=limits, timeouts=timeouts) as served:
        peer = await served.open()
        await peer.text("wait", "1", "2", "3")
        await resource.until(lambda: "wait" in resource.log)
        await trio.sleep(0.8)
        assert served.server.clients == 1
        resource.gate.set()
        assert await peer.messages(4) == ["wait", "1", "2", "3"]


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
            latencies.append(await client.latency())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure)
            for _ in range(2):
                found = await peer.frame()
                assert found is not None
                await peer.send(frame(PONG, found.payload))
        assert latencies[0] is not None
        await peer.send(frame(PONG, b"unasked"))
        await resource.until(lambda: "pong unasked" in resource.log)
        assert resource.log == ["+", "pong mine", "pong unasked"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure)
            await peer.frame()
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
        assert listener is not None
        nursery = vars(listener)["_nursery"]
        tasks = len(nursery.child_tasks)
        with monkeypatch.context() as broken:

            def fail(*args: object, **named: object) -> None:
                raise RuntimeError("a bug of ours")

            broken.setattr(*step, fail)
            peer = await served.open()
            await peer.end()
            await until(lambda: not served.server.statistics().pending_handshakes)
        assert len(nursery.child_tasks) == tasks
        assert served.server.clients == served.server.statistics().reserved == 1
        other = await served.open()
        for one in (first, other):
            await one.text("fine")
            assert await one.message() == "fine"
    assert resource.log.count("+") == 2
