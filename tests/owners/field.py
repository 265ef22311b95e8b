"""Servers that share paths, their engine, their clients, and the acts so far."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import trio

import wsframe
from tests.backplane.redis_server import RedisServer
from tests.owners.acts import Watch, read
from tests.owners.machines import CENTER, Machines
from tests.wire import TEXT, frame, upgrade

__all__ = ["NODES", "PATHS", "PORT", "Field", "Server"]

NODES = 3
PATHS = [f"/room/{number}" for number in range(50)]
PORT = 7391
RECENT = 1.0
"""Seconds within which each path acts while it is served."""
GIVE_UP = 60.0
CONNECTED_WITHIN, ANSWERED_WITHIN = 5.0, 12.0
"""Seconds for which a client waits; a hook waits for 8 s before it takes the next message."""
FLOODS = 20
"""Replies of 64 KiB to a client that reads none."""


class Server:
    """One server, as a process, on a machine of its own if there are any."""

    def __init__(self, number: int, machines: Machines, url: str, acts: Path, lease: float) -> None:
        self.number = number
        self.address = ""
        self._process: subprocess.Popen[str] | None = None
        environment = {"OWNERS_ACTS": str(acts), "OWNERS_NODE": str(number), "WSFRAME_BACKPLANE": url}
        self._environment = {**os.environ, **environment, "WSFRAME_PEER_SECRET": "of these tests alone"}
        command = [sys.executable, "-m", "wsframe", "serve", "tests.owners.program", "--port", "0"]
        self.admin = acts.with_name(f"admin-{number}")
        command += ["--lease", f"{lease:g}", "--log-level", "error", "--drain-timeout", "1", "--admin", str(self.admin)]
        if not machines.apart:
            address = machines.address(number)
            command = [*machines.inside(machines.names[number]), *command]
            command += ["--host", address, "--peer-bind", f"{address}:0"]
        self._command = command

    @property
    def name(self) -> str:
        """Its name in the acts."""
        assert self._process is not None
        return f"{self.number}/{self._process.pid}"

    def start(self) -> None:
        """Start it, and wait until it accepts."""
        self._process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[2].rstrip(",;")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


class Field:
    """All of it.

    Args:
        redis: The engine.
        machines: The machines.
        folder: A folder for the acts.
        chance: Decides.
        lease: Seconds of a lease.
    """

    def __init__(
        self, redis: RedisServer, machines: Machines, folder: Path, chance: random.Random, lease: float
    ) -> None:
        self.redis = redis
        self.machines = machines
        self.chance = chance
        self.lease = lease
        self.acts = folder / "acts"
        self.acts.touch()
        url = redis.url if machines.apart else f"redis://{CENTER}:{PORT}"
        self.servers = [Server(number, machines, url, self.acts, lease) for number in range(NODES)]
        self.watch = Watch()
        self.echoes = 0
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

    def owner(self) -> Server:
        """Return a server that has paths."""
        self.look()
        name = self.watch.newest[self.chance.choice(PATHS)].node
        return next((one for one in self.servers if one.name == name), self.servers[0])

    async def share(self) -> None:
        """Have the servers share the paths again: one that has started, or was away, has none."""
        command = [sys.executable, "-m", "wsframe", "rebalance", "--admin", str(self.chance.choice(self.servers).admin)]
        await trio.run_process(command, capture_stdout=True, check=False)

    async def until_served(self) -> None:
        """Wait until all paths are served."""
        await trio.sleep(RECENT)
        await self._until(self.served, f"a path is not served for {GIVE_UP:g} s")

    async def _until(self, condition: Callable[[], object], fault: str) -> None:
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + GIVE_UP:
                self.watch.faults.append(fault)
                return
            await trio.sleep(0.1)

    # Clients

    async def visit(self, path: str) -> None:
        """Talk to a path for ever, by whichever server serves it."""
        while True:
            for server in self.chance.sample(self.servers, NODES):
                await self.talk(server, path, 1 << 30)
            await trio.sleep(self.chance.uniform(0.1, 0.5))

    async def talk(self, server: Server, path: str, most: int) -> bool:
        """Send numbers and have them come back in order; return whether so many have, and not until a fault."""
        with suppress(Exception), trio.move_on_after(CONNECTED_WITHIN) as patience:
            async with wsframe.connect(server.address + path, proxy=None) as connection:
                for number in range(1, most + 1):
                    patience.deadline = trio.current_time() + ANSWERED_WITHIN
                    await connection.send_text(f"{number} {self.chance.choice(['wait', 'go'])}")
                    answer = await connection.receive()
                    if answer != str(number):
                        self.watch.faults.append(f"{path} answers {answer!r} to {number}")
                    self.echoes += 1
                    if number == most:
                        return True
                    await trio.sleep(self.chance.uniform(0.5, 1.5))
        return False

    async def stall(self, server: Server) -> None:
        """Have a client of a server, carried to another one most of the time, read none of many replies, again and
        again."""
        while True:
            path = self.chance.choice(PATHS)
            with suppress(OSError, trio.BrokenResourceError):
                await self._stall(server.address.removeprefix("ws://"), path)
            await trio.sleep(1)

    async def _stall(self, address: str, path: str) -> None:
        host, _, port = address.rpartition(":")
        with trio.move_on_after(CONNECTED_WITHIN):
            stream = await trio.open_tcp_stream(host, int(port))
            async with stream:
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
                texts = [f"{number} flood".encode() for number in range(1, FLOODS + 1)]
                frames = [frame(TEXT, text) for text in texts]
                await stream.send_all(upgrade(path, host=address))
                await trio.sleep(1)
                await stream.send_all(b"".join(frames))
                with trio.CancelScope(shield=True, deadline=trio.current_time() + self.chance.uniform(5, 20)):
                    await trio.sleep_forever()

    async def check_calm(self) -> None:
        """See that each server lets clients talk to paths of all, although some clients read nothing."""
        for server in self.servers:
            path = self.chance.choice(PATHS)
            for _ in range(10):
                if await self.talk(server, path, 1):
                    break
                await trio.sleep(1)  # a refusal comes at once, and says to try again later
            else:
                self.watch.faults.append(f"{path} does not answer by server {server.number}")
