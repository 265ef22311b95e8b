"""Newcomers that go while something is decided about them: it is called off, and no hook hears of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, Served, until
from tests.wire import PING, TEXT, Peer, frame, upgrade
from wsframe import Accept, Capacity, Request, Response
from wsframe.testing import open_kit

Lines = Callable[[], list[str]]

WAYS: dict[str, Callable[[Peer], None]] = {"fin": Peer.hang_up, "half": Peer.half_close, "reset": Peer.reset}
GET = b"GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(params=WAYS)
def leave(request: pytest.FixtureRequest) -> Callable[[Peer], None]:
    """A way to go."""
    return WAYS[request.param]


class Door(Recorder):
    """Asks at length, and notes how that ends."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: wsframe.Resource | None = None

    async def accept_client(self, request: Request) -> Accept:
        if not request.query_string:
            return Accept(deliver_to=self.elsewhere)
        self.note("asked")
        try:
            await trio.sleep_forever()
        finally:
            self.note("called off")


async def leave_while_asked(served: Served, room: Door, leave: Callable[[Peer], None], more: bytes = b"") -> None:
    peer = await served.connect()
    await peer.send(upgrade("/?wait"), more)
    await room.until(lambda: "asked" in room.log)
    leave(peer)
    await served.idle()


@pytest.mark.parametrize("more", [b"", frame(TEXT, "early") + frame(PING)])
async def test_decision_about_a_newcomer_that_has_gone_is_called_off(
    place: Place, leave: Callable[[Peer], None], more: bytes, info: Lines
) -> None:
    """Also with frames behind its request, which nobody reads yet."""
    room = Door()
    async with place.serve(room, capacity=Capacity(max_clients=1)) as served:
        await leave_while_asked(served, room, leave, more)
        assert served.server.statistics().reserved == 0
        assert room.log == ["asked", "called off"]
        assert [line for line in info() if line.endswith(": gone before it was answered")]
        await served.open()
        await room.until(lambda: "+" in room.log)


async def test_newcomer_that_stays_is_decided_about_in_peace(place: Place) -> None:
    class Slow(Recorder):
        async def accept_client(self, request: Request) -> None:
            await self.gate.wait()

    room = Slow()
    async with place.serve(room) as served:
        peer = await served.connect()
        await peer.send(upgrade(), frame(TEXT, "early"))
        await until(lambda: served.server.statistics().pending_handshakes)
        await wait_all_tasks_blocked(0.02)
        room.gate.set()
        assert (await peer.head()).status == 101
        assert await peer.messages(1) == ["early"]
        await peer.text("late")
        assert await peer.messages(1) == ["late"]


@pytest.mark.parametrize("how", ["returns", "raises", "rejects"])
async def test_user_code_that_takes_no_cancellation_lets_no_ghost_in(place: Place, how: str) -> None:
    class Stubborn(Recorder):
        async def accept_client(self, request: Request) -> Accept | wsframe.Reject | None:
            self.note("asked")
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                self.note("no matter")
            if how == "raises":
                raise RuntimeError("made on purpose")
            return wsframe.Reject(403) if how == "rejects" else None

    room = Stubborn()
    async with place.serve(room) as served:
        peer = await served.connect()
        await peer.send(upgrade())
        await room.until(lambda: room.log)
        peer.half_close()
        await served.idle()
        assert room.log == ["asked", "no matter"]


@pytest.mark.parametrize("more", [b"", frame(TEXT, "early")])
async def test_newcomer_that_has_gone_before_a_quick_decision_is_not_let_in(more: bytes, info: Lines) -> None:
    room = Recorder()
    async with open_kit(room) as kit:
        line = kit.dial()
        line.send_bytes(upgrade() + more)
        line.half_close()
        assert await line.ended() in ("eof", "reset")
        await wait_all_tasks_blocked()
        assert room.log == []
        assert kit.server.statistics()[:3] == (0, 0, 0)
        assert info() == ["127.0.0.1:50001: gone before it was answered"]


class Slow(Recorder):
    """A resource that starts when its gate is opened."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.gate.wait()
        yield


async def test_newcomer_that_goes_while_its_resource_starts_is_forgotten(
    place: Place, leave: Callable[[Peer], None]
) -> None:
    room = Slow()
    registry = wsframe.Registry(alone=True)
    registry.register_factory("/{room}", lambda request: room)
    async with place.serve_registry(registry) as served:
        peer = await served.connect()
        await peer.send(upgrade("/x"))
        await until(lambda: served.server.find("/x"))
        leave(peer)
        await served.idle()
        room.gate.set()
        await wait_all_tasks_blocked(0.01)
        assert room.log == []


async def test_newcomer_that_goes_while_it_is_delivered_elsewhere_is_forgotten(
    place: Place, leave: Callable[[Peer], None]
) -> None:
    room, door = Slow(), Door()
    door.elsewhere = room
    registry = wsframe.Registry(alone=True)
    registry.register("/", door, wsframe.any_origin)
    registry.register_factory("/{room}", lambda request: room)
    async with place.serve_registry(registry) as served:
        first, peer = await served.connect(), await served.connect()
        await first.send(upgrade("/x"))  # has the room made
        await until(lambda: served.server.find("/x"))
        await peer.send(upgrade("/"))
        await until(lambda: served.server.statistics().reserved)
        leave(peer)
        leave(first)
        await served.idle()
        room.gate.set()
        await wait_all_tasks_blocked(0.01)
        assert room.log == door.log == []


class Page:
    """An ``http_handler`` that waits where the path says so."""

    def __init__(self) -> None:
        self.asked = self.called_off = 0
        self.gate = trio.Event()

    async def __call__(self, request: Request) -> Response:
        if request.path == "/slow":
            self.asked += 1
            try:
                await self.gate.wait()
            except trio.Cancelled:
                self.called_off += 1
                raise
        return Response("here you are")


async def test_page_for_a_peer_that_was_reset_is_called_off(place: Place) -> None:
    page = Page()
    async with place.serve(Recorder(), http_handler=page) as served:
        peer = await served.connect()
        await peer.send(GET.replace(b"{}", b"slow"))
        await until(lambda: page.asked)
        peer.reset()
        if place.poller == "epoll":
            await until(lambda: page.called_off)
        else:
            page.gate.set()  # the task poller cannot tell a reset from a side that was shut
        await served.idle()


async def test_half_closed_request_for_a_page_is_answered_and_holds_no_place(place: Place) -> None:
    """HTTP lets a client shut its side behind its request; whether it has gone does not show."""
    page = Page()
    async with place.serve(Recorder(), http_handler=page, capacity=Capacity(max_pending_handshakes=2)) as served:
        peers = [await served.connect() for _ in range(2)]
        for peer in peers:
            await peer.send(GET.replace(b"{}", b"slow"))
        await until(lambda: page.asked == 2)
        for peer in peers:
            peer.half_close()
        await until(lambda: not served.server.statistics().pending_handshakes)
        other = await served.connect()
        await other.send(GET.replace(b"{}", b"quick"))
        assert (await other.answer()).body == b"here you are"
        assert page.called_off == 0
        page.gate.set()
        for peer in peers:
            assert (await peer.answer()).body == b"here you are"


async def test_health_is_told_at_once_however_many_have_gone(autojump_clock: MockClock) -> None:
    page = Page()
    async with open_kit(Recorder(), http_handler=page, capacity=Capacity(max_pending_handshakes=10)) as kit:
        for _ in range(30):
            line = kit.dial()
            line.send_bytes(GET.replace(b"{}", b"slow"))
            await wait_all_tasks_blocked()
            line.half_close()
        await wait_all_tasks_blocked()
        start = trio.current_time()
        assert (await kit.request("/healthz")).body == b"here you are"
        assert trio.current_time() == start
        assert (page.asked, page.called_off) == (30, 20), "as many as may be under way, not more"
        page.gate.set()


async def test_a_request_keeps_its_fields_while_it_waits(autojump_clock: MockClock) -> None:
    class Slow(wsframe.Resource):
        subprotocols = ("chat",)

        async def accept_client(self, request: Request) -> Accept:
            before = request.headers.fields()
            await trio.sleep(1)
            return Accept(data=(before, request.headers.fields()))

    room = Slow()
    async with open_kit(room) as kit:
        client = await kit.connect("/", headers={"X-One": "1"}, subprotocols=["chat"])
        assert client.subprotocol == "chat"
        (one,) = room.clients
        before, after = one.data
        assert ("x-one", "1") in before
        assert before == after == one.request.headers.fields()


async def test_leavers_of_a_full_server_make_room(autojump_clock: MockClock) -> None:
    room = Door()
    capacity = Capacity(max_pending_handshakes=200, max_clients=200)
    async with open_kit(room, capacity=capacity) as kit:
        lines = [kit.dial() for _ in range(200)]
        for line in lines:
            line.send_bytes(upgrade("/?wait"))
        await room.until(lambda: room.log.count("asked") == 200)
        start = trio.current_time()
        for line in lines:
            line.hang_up()
        await kit.connect("/")
        assert trio.current_time() - start < 1
        assert kit.server.statistics()[:3] == (1, 1, 0)
        assert room.log.count("called off") == 200


async def test_drain_takes_no_notice_of_who_has_gone(autojump_clock: MockClock, info: Lines) -> None:
    room = Door()
    async with open_kit(room) as kit:
        line = kit.dial()
        line.send_bytes(upgrade("/?wait"))
        await room.until(lambda: "asked" in room.log)
        line.reset()
        kit.server.close()
    assert room.log == ["asked", "called off"]
    assert trio.current_time() < 1
