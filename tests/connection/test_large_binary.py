"""A large binary message is gathered whole, wherever the reads happen to end."""

from __future__ import annotations

import pytest
import trio

import wsframe
from tests import wire

HEADER = 14


class Measure(wsframe.Resource):
    """Answers with the length of a message, and with whether it came as it was sent."""

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_text(f"{len(message)} {message == b'x' * len(message)}")


@pytest.mark.parametrize("behind", [-1, 0, 1, 2, 3])
async def test_the_first_read_may_end_at_the_header(behind: int) -> None:
    """A client may well send the header by itself."""
    registry = wsframe.Registry()
    registry.register("/", Measure(), wsframe.any_origin)
    data = wire.frame(wire.BINARY, b"x" * 100_000)
    async with wsframe.open_server(registry, port=0) as server, wire.connected(server) as peer:
        for _ in range(2):
            await peer.send(data[: HEADER + behind])
            await trio.sleep(0.05)
            await peer.send(data[HEADER + behind :])
            with trio.fail_after(wire.BOUND):
                assert await peer.receive_text() == "100000 True"
