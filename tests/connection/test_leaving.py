"""A link that has said all it has to say keeps its place until the kernel has delivered it."""

import socket
import sys

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import wsframe
from tests.hostile.place import Place, until
from tests.local_server import local_server_of
from tests.recorder import Echo, Recorder
from tests.wire import BOUND, close, connected, serving, text
from wsframe.connection.loop import RECEIVE_BUFFER
from wsframe.net.poller import READ
from wsframe.testing import open_kit

MUCH = 100_000


class Generous(wsframe.Resource):
    """Sends more than a small receive buffer holds."""

    def __init__(self) -> None:
        self.gone = trio.Event()

    async def client_connected(self, client: wsframe.Client) -> None:
        client.send_binary(bytes(MUCH))

    async def disconnected(self, client: wsframe.Client) -> None:
        self.gone.set()


async def test_peer_that_shut_its_side_and_reads_nothing_keeps_its_place_then_is_reset(
    autojump_clock: MockClock,
) -> None:
    """Closed at once, it would leave bytes in the kernel, and its place would be free for the next of its kind."""
    resource = Generous()
    async with open_kit(resource) as kit:
        client = await kit.connect(bytes_per_second=0)
        client.half_close()
        await resource.gone.wait()
        start = trio.current_time()
        while kit.server.statistics().reserved:  # noqa: ASYNC110
            await trio.sleep(0.1)
        assert trio.current_time() - start == pytest.approx(5, abs=0.3)
        assert await client.ended() == "reset"


async def test_peer_that_shut_its_side_and_reads_on_gets_everything(plain: Place) -> None:
    resource = Generous()
    async with plain.serve(resource) as served:
        peer = await served.open(receive_buffer=4096)
        peer.socket.shutdown(socket.SHUT_WR)
        await resource.gone.wait()
        found = await peer.receive()
        assert found is not None
        assert len(found.payload) == MUCH
        assert await peer.end() == "fin"
        await until(lambda: served.server.statistics().reserved == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is another poller")
async def test_close_that_both_sides_send_costs_the_poller_one_call_in_and_one_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wsframe.net.poller import EpollPoller

    calls: list[str] = []
    add, watch, forget = EpollPoller.add, EpollPoller.watch, EpollPoller.forget

    def added(poller: EpollPoller, fd: int, mask: int) -> None:
        calls.append(f"add {mask}")
        add(poller, fd, mask)

    def watched(poller: EpollPoller, fd: int, mask: int) -> None:
        calls.append(f"watch {mask}")
        watch(poller, fd, mask)

    def forgotten(poller: EpollPoller, fd: int) -> None:
        calls.append("forget")
        forget(poller, fd)

    monkeypatch.setattr(EpollPoller, "add", added)
    monkeypatch.setattr(EpollPoller, "watch", watched)
    monkeypatch.setattr(EpollPoller, "forget", forgotten)
    with trio.fail_after(BOUND):
        async with serving(room := Echo()) as server, connected(server) as peer:
            await peer.send(close(1000))
            assert (await peer.receive_close())[0] == 1000
            await peer.stream.send_eof()
            await room.journal.until("disconnected 1000")
            await until(lambda: not server.statistics().reserved)
            assert calls == [f"add {READ}", "forget"]


async def test_bytes_after_a_close_frame_are_read_once_and_no_more() -> None:
    """The hooks are busy, so the close frame is not answered yet, and the peer floods."""
    with trio.fail_after(BOUND):
        async with serving(room := Recorder()) as server, connected(server) as peer:
            await peer.send(text("hold"))
            await room.journal.until("text hold")
            (link,) = local_server_of(server).reactor.links.values()
            await peer.send(close(1000))
            await until(lambda: link.closing.ended is not None)
            before = link.bytes_received
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send, bytes(16 * 1024 * 1024))
                await until(lambda: not link.readiness.interest & READ)
                await trio.testing.wait_all_tasks_blocked(0.05)
                assert link.bytes_received - before <= RECEIVE_BUFFER
                nursery.cancel_scope.cancel()
            room.release.set()
            await room.journal.until("disconnected 1000")
