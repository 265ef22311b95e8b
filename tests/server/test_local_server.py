"""Draining: it reaches everybody, every hook has its chance, and it ends in time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import BOUND, Place, Recorder, Served, until
from tests.wire import upgrade
from wsframe import Request, Timeouts
from wsframe.server import admission
from wsframe.testing import open_kit

Lines = Callable[[], list[str]]


async def test_close_tells_every_client_and_every_disconnected_runs(place: Place) -> None:
    resources = Recorder(), Recorder()
    async with place.serve(*resources) as served:
        peers = [await served.open(path) for path in ("/", "/1", "/1")]
        served.server.close(4002)
        served.server.close(4003)
        for peer in peers:
            assert await peer.rest.until_close() == ([], 4002)
            await peer.close(4002)
            assert await peer.end() == "fin"
            peer.hang_up()
        await served.server.closed()
        assert [resource.log for resource in resources] == [["+", "-4002"], ["+", "+", "-4002", "-4002"]]
        assert served.server.statistics()[:3] == (0, 0, 0)


@pytest.mark.parametrize(("code", "error"), [(1005, ValueError), (0, ValueError), ("1000", TypeError)])
async def test_close_code_that_may_not_be_sent_is_refused_and_nothing_happens(
    plain: Place, code: int, error: type[Exception]
) -> None:
    async with plain.serve(Recorder()) as served:
        with pytest.raises(error):
            served.server.close(code)
        await served.open()


async def test_queued_messages_leave_before_the_close_of_a_drain(place: Place) -> None:
    resource = Recorder()
    async with place.serve(resource) as served:
        peer = await served.open()
        await resource.until(lambda: resource.arrived)
        for number in range(100):
            resource.arrived[0].send_text(str(number))
        served.server.close()
        assert await peer.rest.until_close() == (list(map(str, range(100))), 1001)


async def test_clients_are_told_at_once_though_a_refused_newcomer_stays(
    plain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newcomer that does not leave after its 503 may not delay the close frames."""
    monkeypatch.setattr(admission, "FAREWELL", 60.0)
    async with plain.serve(Recorder(), timeouts=Timeouts(drain=1)) as served:
        client, newcomer = await served.open(), await served.connect()
        await newcomer.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: served.server.statistics().pending_handshakes >= 1)
        served.server.close()
        assert (await newcomer.head()).status == 503
        assert await client.rest.until_close() == ([], 1001)


@asynccontextmanager
async def nursery_with_server(place: Place, resource: Recorder, timeouts: Timeouts) -> AsyncIterator[Served]:
    """Serve as ``serve`` in a nursery; the body cancels it."""
    registry = wsframe.Registry()
    registry.register("/", resource, wsframe.any_origin)
    options: wsframe.ServeKeywords = {"port": 0, "poller": place.poller, "timeouts": timeouts}
    if place.tls is not None:
        options["ssl_context"] = place.tls.server
    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[wsframe.Server]) -> None:
                await wsframe.serve(registry, **options, task_status=task_status)

            served = Served(await nursery.start(serve), place.tls.client if place.tls else None)
            yield served
            nursery.cancel_scope.cancel()


async def test_cancelling_serve_drains(place: Place) -> None:
    resource = Recorder()
    with trio.CancelScope() as scope:
        async with nursery_with_server(place, resource, Timeouts()) as served:
            peer = await served.open()
            await resource.until(lambda: resource.log)

            async def farewell() -> None:
                with trio.CancelScope(shield=True):
                    assert await peer.rest.until_close() == ([], 1001)
                    await peer.close(1001)
                    peer.hang_up()

            trio.lowlevel.spawn_system_task(farewell)
    assert not scope.cancelled_caught
    assert resource.log == ["+", "-1001"]


async def test_stuck_hook_is_cut_at_the_drain_deadline_and_disconnected_still_runs(autojump_clock: MockClock) -> None:
    resource = Recorder()
    async with open_kit(resource, timeouts=Timeouts(close=600)) as kit:
        client, other = await kit.connect(), await kit.connect()
        client.answer_close = other.answer_close = False
        await resource.until(lambda: resource.log == ["+", "+"])
        client.send_text("wait")
        client.send_text("never")
        await resource.until(lambda: "wait" in resource.log)
        other.send_text("never either")
        await wait_all_tasks_blocked()
        start = trio.current_time()
        kit.server.close()
        for one in (client, other):
            assert (await one.closed(), one.end) == ((1001, "server stopping"), "reset")
        await kit.server.closed()
        assert trio.current_time() - start == pytest.approx(8)
        assert resource.log == ["+", "+", "wait", "-1006", "-1006"]
        assert list(resource.clients) == []


async def test_stuck_disconnected_hooks_share_one_deadline_after_the_drain(autojump_clock: MockClock) -> None:
    class Stuck(Recorder):
        async def disconnected(self, client: wsframe.Client) -> None:
            self.note("leaving")
            await trio.sleep_forever()

    resource = Stuck()
    async with open_kit(resource, timeouts=Timeouts(drain=10, close=5)) as kit:
        for _ in range(5):
            await kit.connect()
        await resource.until(lambda: len(resource.log) == 5)
        start = trio.current_time()
        kit.server.close()
        await kit.server.closed()
        assert resource.log[5:] == ["leaving"] * 5
        assert trio.current_time() - start == pytest.approx(15), "not 10 and 5 times 5"


async def test_hurry_ends_at_once_whatever_is_stuck(plain: Place) -> None:
    """A second signal makes both deadlines now; a hook is cut off at its first await."""

    class Stuck(Recorder):
        async def disconnected(self, client: wsframe.Client) -> None:
            self.note("leaving")
            await trio.sleep_forever()

    resource = Stuck()
    async with plain.serve(resource, timeouts=Timeouts(drain=600, close=5)) as served:
        peer = await served.open()
        await peer.text("wait")
        await resource.until(lambda: "wait" in resource.log)
        served.server.close()
        await peer.rest.until_close()
        served.server.hurry()
        with trio.fail_after(BOUND):
            await served.server.closed()
        assert resource.log == ["+", "wait", "leaving"]


async def test_peer_that_does_not_answer_the_close_of_a_drain_is_reset(autojump_clock: MockClock) -> None:
    resource = Recorder()
    async with open_kit(resource) as kit:
        client = await kit.connect()
        client.answer_close = False
        await resource.until(lambda: resource.log)
        start = trio.current_time()
        kit.server.close()
        assert (await client.closed(), client.end) == ((1001, "server stopping"), "reset")
        await kit.server.closed()
        assert trio.current_time() - start == pytest.approx(5)
        assert resource.log == ["+", "-1006"]


async def test_statistics_are_a_snapshot_of_what_is_under_way(plain: Place) -> None:
    class Gated(Recorder):
        async def accept_client(self, request: Request) -> wsframe.Reject | None:
            if request.query_string:
                self.note("asked")
                await self.gate.wait()
                return wsframe.Reject()
            return None

    resource = Gated()
    async with plain.serve(resource, Recorder()) as served:
        server = served.server
        assert server.statistics()[:6] == (0, 0, 0, 0, 0, 2)
        await served.open()
        newcomer = await served.connect()
        await newcomer.send(upgrade("/?wait"))
        await resource.until(lambda: "asked" in resource.log)
        assert server.statistics()[:6] == (1, 2, 1, 1, 0, 2)
        assert (server.clients, repr(server)) == (1, f"<Server {server.addresses[0]} [clients: 1]>")
        resource.gate.set()
        await newcomer.answer()
        newcomer.hang_up()
        await until(lambda: not server.statistics().pending_handshakes)
        assert server.statistics()[:6] == (1, 1, 0, 1, 1, 2)


async def test_resources_registered_and_unregistered_while_serving(plain: Place) -> None:
    registry = wsframe.Registry()
    first, second = Recorder(), Recorder()
    registry.register("/a", first, wsframe.any_origin)
    async with plain.serve_registry(registry) as served:
        old = await served.open("/a")
        registry.register("/a", second, wsframe.any_origin)
        new = await served.open("/a")
        for peer in (old, new):
            await peer.text("hello")
            assert await peer.message() == "hello"
        assert [first.log, second.log] == [["+", "hello"]] * 2
        registry.unregister("/a")
        assert (await (await served.connect()).upgrade("/a")).status == 404
        await old.close()
        await old.rest.until_close()
        await first.until(lambda: "-1000" in first.log)
        await until(lambda: served.server.statistics().resources <= 1)
