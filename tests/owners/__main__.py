"""``python -m tests.owners [ROUNDS [SEED]]``: stop, kill and cut off servers that share 50 paths by a Redis server.

Each path counts in a task, in hooks that wait for longer than a lease, and for posts; each act is a line with the
token in one file. No path may be without an owner for longer than a lease and a second, or than the engine is away and
somewhat more (a busy machine is later, which the record says), and no act may follow one with a newer token.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import trio

import wsframe
from tests.backplane.redis_server import RedisServer, redis_server
from tests.owners.acts import Watch, read
from tests.owners.record import note

ROUNDS = 200
NODES = 3
LEASE = 3.0
PATHS = [f"/room/{number}" for number in range(50)]
RECENT = 1.0
"""Seconds within which each path acts while it is served."""
BACK = 3.0
"""Seconds after the return of the engine within which all paths are served again."""
SLACK = 2.0
"""Seconds more that clients and a busy machine with two cores take."""
GIVE_UP = 60.0


class Server:
    """One server, as a process."""

    def __init__(self, name: str, url: str, acts: Path) -> None:
        self.name = name
        self._environment = {**os.environ, "OWNERS_ACTS": str(acts), "OWNERS_NODE": name, "WSFRAME_BACKPLANE": url}
        self.address = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it accepts."""
        command = [sys.executable, "-m", "wsframe", "serve", "tests.owners.program", "--port", "0"]
        command += ["--lease", f"{LEASE:g}", "--log-level", "error", "--drain-timeout", "1"]
        self._process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[2].rstrip(",;")

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()  # type: ignore[union-attr]
            self._process = None


class Field:
    """Servers, their engine, and the acts so far."""

    def __init__(self, redis: RedisServer, folder: Path, chance: random.Random) -> None:
        self.redis = redis
        self.acts = folder / "acts"
        self.acts.touch()
        self.chance = chance
        self.servers = [Server(str(number), redis.url, self.acts) for number in range(NODES)]
        self.watch = Watch()
        self.ending = False
        self._file = self.acts.open("rb")

    def look(self) -> None:
        """Follow the acts since the last look."""
        place = self._file.tell()
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._file.seek(place + len(whole))
        self.watch.follow(read(whole))

    def served(self) -> bool:
        """Return whether all paths have acted a moment ago."""
        self.look()
        latest = time.monotonic() - RECENT
        return all(path in self.watch.newest and self.watch.newest[path].at >= latest for path in PATHS)

    async def until_served(self) -> None:
        """Wait until all paths are served."""
        begun = time.monotonic()
        await trio.sleep(RECENT)
        while not self.served() and time.monotonic() < begun + GIVE_UP:  # noqa: ASYNC110
            await trio.sleep(0.1)


async def stopped(field: Field) -> float:
    """Stop a server for 1 to 10 seconds; return the seconds for which a path can have no owner, as each of these."""
    server = field.chance.choice(field.servers)
    server.send(signal.SIGSTOP)
    await trio.sleep(field.chance.uniform(1, 10))
    server.send(signal.SIGCONT)
    return LEASE + 1


async def killed(field: Field) -> float:
    """Kill a server, and start another one."""
    server = field.chance.choice(field.servers)
    server.kill()
    await trio.to_thread.run_sync(server.start)
    return LEASE + 1


async def frozen(field: Field) -> float:
    """Freeze the engine for 1 to 8 seconds."""
    seconds = field.chance.uniform(1, 8)
    field.redis.freeze()
    await trio.sleep(seconds)
    field.redis.thaw()
    return seconds + BACK


async def emptied(field: Field) -> float:
    """Kill the engine, and start it again with nothing in it."""
    seconds = field.chance.uniform(0, 3)
    field.redis.kill()
    await trio.sleep(seconds)
    await trio.to_thread.run_sync(field.redis.start)
    return seconds + LEASE + 1


FAULTS: dict[str, Callable[[Field], Awaitable[float]]] = {
    "server stopped for 1 to 10 s": stopped,
    "server killed, another one started": killed,
    "engine frozen for 1 to 8 s": frozen,
    "engine killed and started empty": emptied,
}


async def visit(field: Field, path: str) -> None:
    """Talk to a path for ever, by whichever server serves it."""
    while True:
        for server in field.chance.sample(field.servers, NODES):
            with suppress(Exception), trio.move_on_after(5):
                async with wsframe.connect(server.address + path, proxy=None) as socket:
                    while True:
                        await socket.send_text(field.chance.choice(["wait", "go on"]))
                        await socket.receive()
                        await trio.sleep(field.chance.uniform(0.5, 1.5))
        await trio.sleep(field.chance.uniform(0.1, 0.5))


async def end_at_signal(field: Field) -> None:
    """End after the round of this moment at Ctrl-C; the record has those that have been."""
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            field.ending = True


async def run(field: Field, rounds: int) -> dict[str, Any]:
    """Cause the faults, and return the record."""
    times: dict[str, list[float]] = {name: [] for name in FAULTS}
    late: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_at_signal, field)
        for path in PATHS:
            nursery.start_soon(visit, field, path)
        await field.until_served()
        for number in range(rounds):
            name = field.chance.choice(list(FAULTS))
            field.watch.longest = 0.0
            allowed = await FAULTS[name](field)
            await field.until_served()
            took = field.watch.longest
            times[name].append(took)
            if took > allowed + SLACK:
                late.append(f"round {number}, {name}: {took:.1f} s, {allowed:.1f} s are allowed")
            if field.ending:
                break
            print(f"{number + 1}/{rounds} {name}: {took:.1f} s, overlaps: {len(field.watch.overlaps)}", flush=True)
        nursery.cancel_scope.cancel()
    return {
        "rounds": {name: len(one) for name, one in times.items() if one},
        "without_owner": {name: {"median": median(one), "most": max(one)} for name, one in times.items() if one},
        "nodes": NODES, "paths": len(PATHS), "lease": LEASE, "acts": field.watch.acts, "owners": field.watch.owners,
        "overlaps": field.watch.overlaps[:20], "late": late,
    }  # fmt: skip


def main(rounds: int, seed: int) -> int:
    """Run so many rounds; return the exit status."""
    with TemporaryDirectory(prefix="owners-") as folder, redis_server(Path(folder)) as redis:
        redis.grant_leases_at_once()
        field = Field(redis, Path(folder), random.Random(seed))
        try:
            for server in field.servers:
                server.start()
            record = trio.run(run, field, rounds)
        finally:
            for server in field.servers:
                server.kill()
    note({"seed": seed, **record})
    for line in (*record["overlaps"], *record["late"]):
        print(line)
    return bool(record["overlaps"])


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:]]
    sys.exit(main(numbers[0] if numbers else ROUNDS, numbers[1] if len(numbers) > 1 else 1))
