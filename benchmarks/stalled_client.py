"""Measure the effect of a client that does not read on a healthy client and on the server.

``python benchmarks/stalled_client.py [SECONDS]`` broadcasts 64 KiB messages, 50 a second,
to both, and prints when the stalled client was disconnected, the delays of the healthy one, and
the server's memory. Server and clients run in their own processes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import trio

import wsframe

MESSAGE = 64 * 1024
PER_SECOND = 50


class Feed(wsframe.Resource):
    """Broadcasts the time, padded, and reports when a client goes."""

    async def client_connected(self, client: wsframe.Client) -> None:
        if len(self.clients) == 2:
            self.start_soon(self.tick)

    async def tick(self) -> None:
        begun = trio.current_time()
        while self.clients:
            self.broadcast_text(f"{time.monotonic_ns()} ".ljust(MESSAGE))
            print("rss", f"{trio.current_time() - begun:.2f}", resident(), len(self.clients), flush=True)
            await trio.sleep(1 / PER_SECOND)

    async def disconnected(self, client: wsframe.Client) -> None:
        print("gone", client.close_reason, flush=True)


def resident() -> int:
    """Return the resident memory of this process in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


async def read(port: int, seconds: float) -> None:
    """Connect one client that stalls and one that reads; print the delays of the latter in ms."""
    head = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    stalled = await trio.open_tcp_stream("127.0.0.1", port)
    await stalled.send_all(head)
    healthy = await trio.open_tcp_stream("127.0.0.1", port)
    await healthy.send_all(head)
    delays = []
    held = b""
    with trio.move_on_after(seconds):
        while data := await healthy.receive_some(1 << 20):
            held += data
            while len(held) >= 10 + MESSAGE and (at := held.find(b"\x81\x7f")) >= 0 and len(held) >= at + 10 + MESSAGE:
                sent = int(held[at + 10 :].split(b" ", 1)[0])
                delays.append((time.monotonic_ns() - sent) / 1e6)
                held = held[at + 10 + MESSAGE :]
    delays.sort()
    print(f"healthy client: {len(delays)} messages, delay in ms: median {delays[len(delays) // 2]:.2f}, "
          f"p99 {delays[len(delays) * 99 // 100]:.2f}, longest {delays[-1]:.2f}", flush=True)  # fmt: skip


def main(seconds: float) -> None:
    """Run server and clients, and print the results."""
    command = [sys.executable, __file__]
    with subprocess.Popen([*command, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        subprocess.run([*command, "read", port, str(seconds)], check=True)
        server.terminate()
        samples, gone_at = [], None
        for line in server.stdout:
            words = line.split()
            if words[0] == "rss":
                samples.append((float(words[1]), int(words[2]), int(words[3])))
            elif gone_at is None:
                gone_at = samples[-1][0]
                print(f"stalled client: gone after {gone_at:.2f} s ({line.strip()[5:]})")
    first, most = samples[0][1], max(rss for _, rss, _ in samples)
    print(f"server: {first} KiB at the first message, {most} KiB at most, {samples[-1][1]} KiB at the end")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        wsframe.register_global_resource("/", Feed())
        wsframe.run(port=0, started=lambda server: print(server.addresses[0].rpartition(":")[2], flush=True))
    elif sys.argv[1:2] == ["read"]:
        trio.run(read, int(sys.argv[2]), float(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
