"""The bridge waits on both sides: in memory, where each byte that it holds can be counted."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.examples.running import EXAMPLES
from wsframe.testing import open_client

MIB = 1024 * 1024


@pytest.fixture
def bridge() -> Any:
    return runpy.run_path(str(EXAMPLES / "bridge.py"))["Bridge"]("service", 1)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> trio.abc.Stream:
    """Give the service's end of the TCP connection; each of its sends waits until the bridge reads."""
    ours, theirs = lockstep_stream_pair()

    async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
        assert (host, port) == ("service", 1)
        return theirs

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    return ours


async def test_bytes_pass_in_both_directions_until_the_service_ends(bridge: Any, service: trio.abc.Stream) -> None:
    async with open_client(bridge, subprotocols=["binary"]) as client:
        assert client.subprotocol == "binary"
        await service.send_all(b"RFB 003.008\n")
        assert await client.receive_binary() == b"RFB 003.008\n"
        client.send_binary(b"RFB 003.008\n")
        assert await service.receive_some() == b"RFB 003.008\n"
        await service.aclose()
        assert (await client.closed()).code == 1000


async def test_the_service_waits_for_a_page_that_does_not_read(bridge: Any, service: trio.abc.Stream) -> None:
    async with open_client(bridge) as client, trio.open_nursery() as nursery:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(16):
                await service.send_all(bytes(MIB))
                sent += MIB

        client.stall()
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert sent <= 2 * MIB, "the bridge holds messages that it cannot pass on"
        client.resume()
        received = 0
        while received < 16 * MIB:
            received += len(await client.receive_binary())
        assert received == 16 * MIB


async def test_a_page_waits_for_a_service_that_does_not_read(bridge: Any, service: trio.abc.Stream) -> None:
    async with open_client(bridge) as client:
        for number in range(256):
            client.send_binary(bytes([number]) * 64 * 1024)
        await wait_all_tasks_blocked()
        assert client.unsent > 8 * MIB, "the server has taken messages that it cannot pass on"
        received = bytearray()
        while len(received) < 16 * MIB:
            received += await service.receive_some(MIB)
        assert all(received[number * 65536] == number for number in range(256))


async def test_a_service_that_does_not_answer_is_a_close_code(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
        raise OSError("all attempts to connect failed")

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    async with open_client(bridge) as client:
        client.send_binary(b"early")
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1014, "the service does not answer")


async def test_the_service_hears_of_the_end_of_a_page(bridge: Any, service: trio.abc.Stream) -> None:
    async with open_client(bridge) as client:
        client.close()
        assert await service.receive_some() == b""
