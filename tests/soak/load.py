"""The load of a soak: clients that come and go, some of them rudely, and one that measures."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import trio

from tests.chaos.conversation import Conversation, request_head
from tests.chaos.rough import Address, Rough
from tests.client_frames import frame
from tests.soak.growth import Sample, percentile
from tests.soak.server import READY

__all__ = ["Load", "serving"]

VISITORS = 40
PROBE_EVERY = 0.02
RUDE_SHARE = 0.2
# For the server to get rid of the last clients: its timeouts and some more.
SETTLE = 30.0


@contextmanager
def serving() -> Iterator[tuple[int, Address]]:
    """Run the server in a process of its own; yield its id and its address."""
    process = subprocess.Popen([sys.executable, "-m", "tests.soak.server"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith(READY):
            raise RuntimeError(f"the server did not start: {line!r}")
        yield process.pid, Address(int(line.rpartition(":")[2]), None)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@dataclass
class Load:
    """The clients of one soak."""

    pid: int
    address: Address
    seed: int = 1
    visitors: int = VISITORS
    samples: list[Sample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    _began: float = 0.0
    _recent: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> tuple[Sample, Sample]:
        """Load the server for so long; return samples without any clients, before and after."""
        every = max(0.5, seconds / 300)
        self._began = time.monotonic()
        async with Asking(self.address) as asking:
            before = await self._sample(asking)
            async with trio.open_nursery() as nursery:
                for number in range(self.visitors):
                    nursery.start_soon(self._visit_again, Random(f"{self.seed}/{number}"))
                nursery.start_soon(self._probe)
                while time.monotonic() < self._began + seconds:
                    await trio.sleep(every)
                    self.samples.append(await self._sample(asking))
                nursery.cancel_scope.cancel()
            with trio.move_on_after(SETTLE):
                while (after := await self._sample(asking)).clients > before.clients:  # noqa: ASYNC110
                    await trio.sleep(0.2)
            after = await self._sample(asking)
        return before, after

    async def _sample(self, asking: "Asking") -> Sample:
        told = await asking.ask()
        recent, self._recent = self._recent, []
        resident, descriptors = held_by(self.pid)
        p50, p99 = (1000 * percentile(recent, part) for part in (0.5, 0.99))
        self.counts["admitted"] = told["admitted"]
        return Sample(
            time.monotonic() - self._began, resident, descriptors, told["tasks"], told["clients"], p50, p99
        )  # fmt: skip

    async def _probe(self) -> None:
        """Measure one echo after the other."""
        peer = await Rough.connect(self.address)
        talk = Conversation(peer, "probe")
        try:
            await talk.open("/echo")
            while True:
                began = time.perf_counter()
                await talk.echo("how long does this take")
                taken = time.perf_counter() - began
                self._recent.append(taken)
                self.latencies.append(taken)
                await trio.sleep(PROBE_EVERY)
        finally:
            peer.close()

    async def _visit_again(self, random: Random) -> None:
        await trio.sleep(random.random() * 2)
        while True:
            kind = self._rude_visit if random.random() < RUDE_SHARE else self._visit
            peer = await Rough.connect(self.address)
            try:
                await kind(random, peer)
            except Exception as error:
                if kind == self._visit:
                    self.faults.append(repr(error))
            finally:
                peer.close()

    async def _visit(self, random: Random, peer: Rough) -> None:
        """Come, talk for a few seconds, leave as one should."""
        path = random.choice(("/echo", "/echo", "/deflated", "/room"))
        talk = Conversation(peer, "visitor")
        await talk.open(path, deflate=random.random() < 0.5)
        self.counts["visits"] += 1
        for _ in range(random.randint(5, 60)):
            message = "x" * random.choice((5, 50, 500, 5000))
            self.counts["messages"] += 1
            if path == "/room":
                await talk.send(message[:500])
                with trio.move_on_after(0.1):
                    while True:
                        await talk.receive()
            else:
                await talk.echo(message)
                await trio.sleep(random.random() / 5)
        if path != "/room":
            await talk.echo(close=1000)

    async def _rude_visit(self, random: Random, peer: Rough) -> None:
        """Come, and leave as one should not."""
        self.counts["rude visits"] += 1
        with suppress(OSError):
            await peer.send(request_head(random.choice(("/echo", "/deflated", "/room")), "rude", deflate=True))
            await peer.receive()
            data = random.choice(
                (frame(0x82, bytes(60_000)) * 40, random.randbytes(500), frame(0x81, b"", mask=None), frame(0x89) * 500)
            )
            with trio.move_on_after(1):
                await peer.send(data)
            await trio.sleep(random.random() * 2)
            peer.reset()


def held_by(pid: int) -> tuple[int, int]:
    """Return a process's resident KiB and its descriptors."""
    with open(f"/proc/{pid}/statm", "rb") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    return resident, len(os.listdir(f"/proc/{pid}/fd"))


class Asking:
    """A connection over which the server is asked about itself."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def __aenter__(self) -> "Asking":
        self._peer = await Rough.connect(self._address)
        self._talk = Conversation(self._peer, "asking")
        try:
            await self._talk.open("/stats")
        except BaseException:
            self._peer.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._peer.close()

    async def ask(self) -> dict[str, int]:
        await self._talk.send("?")
        told: dict[str, int] = json.loads(await self._talk.receive())  # type: ignore[arg-type]
        return told
