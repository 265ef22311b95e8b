"""A link that has said all it has to say keeps its place until the kernel has delivered it."""

import socket

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.hostile.place import Place, until
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
    """Closed at once, what it does not read would be the kernel's, and the place free for the next of its kind."""
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
        found = await peer.frame()
        assert found is not None
        assert len(found.payload) == MUCH
        assert await peer.end() == "fin"
        await until(lambda: served.server.statistics().reserved == 0)
