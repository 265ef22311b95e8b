"""Compare the cost of a message for our client and the client of ``websockets`` on asyncio.

``python benchmarks/client_echo.py [SECONDS] [ROUNDS]`` sends messages of three sizes to one
wsframe server and back, one at a time and 16 in flight, each client in turn in its own process.
It prints medians: messages per second, the client's CPU time for one, and the ratios.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

import trio
from websockets.asyncio.client import connect as their_connect

import wsframe

SIZES = (64, 16 * 1024, 1024 * 1024)
IN_FLIGHT = (1, 16)
LIMITS = wsframe.Limits(max_message=2**21, max_outbox=2**26, max_queued_bytes=2**26)


class Echo(wsframe.Resource):
    """Sends every message back."""

    limits = LIMITS

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


async def ours(url: str, size: int, in_flight: int, seconds: float) -> None:
    """Measure our client, in its own process."""
    message = bytes(size)
    count = 0
    async with wsframe.connect(url, proxy=None, limits=LIMITS) as ws:
        for _ in range(in_flight):
            await ws.send_binary(message)
        cpu, begun = time.process_time(), time.perf_counter()
        while time.perf_counter() - begun < seconds:
            await ws.receive()
            await ws.send_binary(message)
            count += 1
        print(count / (time.perf_counter() - begun), (time.process_time() - cpu) / count)
        ws.abort()


async def theirs(url: str, size: int, in_flight: int, seconds: float) -> None:
    """Measure the client of websockets, in its own process."""
    message = bytes(size)
    count = 0
    async with their_connect(url, proxy=None, compression=None, max_size=2**21) as ws:
        for _ in range(in_flight):
            await ws.send(message)
        cpu, begun = time.process_time(), time.perf_counter()
        while time.perf_counter() - begun < seconds:
            await ws.recv()
            await ws.send(message)
            count += 1
        print(count / (time.perf_counter() - begun), (time.process_time() - cpu) / count)
        ws.transport.abort()


async def measured(client: str, url: str, size: int, in_flight: int, seconds: float) -> tuple[float, float]:
    """Run one client; return messages per second and CPU seconds per message."""
    command = [sys.executable, __file__, client, url, str(size), str(in_flight), str(seconds)]
    done = await trio.run_process(command, capture_stdout=True)
    rate, cpu = map(float, done.stdout.split())
    return rate, cpu


async def compare(seconds: float, rounds: int) -> None:
    """Serve, run both clients in turn, and print their costs."""
    server = await trio.lowlevel.open_process([sys.executable, __file__, "serve"], stdout=-1)
    assert server.stdout is not None
    url = bytes(await server.stdout.receive_some()).decode().strip()
    print("      bytes  in flight   ours/s  theirs/s  ratio   ours us  theirs us  ratio")
    try:
        for size in SIZES:
            for in_flight in IN_FLIGHT:
                found: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
                for _ in range(rounds):
                    for client, results in found.items():
                        results.append(await measured(client, url, size, in_flight, seconds))
                rate, their_rate = (statistics.median(one[0] for one in found[name]) for name in found)
                cpu, their_cpu = (statistics.median(one[1] for one in found[name]) * 1e6 for name in found)
                print(f"{size:12}{in_flight:11}{rate:9.0f}{their_rate:10.0f}{rate / their_rate:7.2f}"
                      f"{cpu:10.1f}{their_cpu:11.1f}{their_cpu / cpu:7.2f}")  # fmt: skip
    finally:
        server.kill()
        await server.wait()


async def serve() -> None:
    """Serve until killed."""
    wsframe.register_global_resource("/", Echo(), wsframe.any_origin)
    async with wsframe.open_server(port=0) as server:
        print(server.addresses[0], flush=True)
        await server.closed()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        trio.run(serve)
    elif sys.argv[1:2] == ["ours"]:
        trio.run(ours, sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    elif sys.argv[1:2] == ["theirs"]:
        asyncio.run(theirs(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
    else:
        trio.run(compare, float(sys.argv[1]) if len(sys.argv) > 1 else 2, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
