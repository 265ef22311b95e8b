"""A Redis server for tests, a process of its own in a folder of the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE
from tests.requirements import require

__all__ = ["RedisServer", "redis_server"]


class RedisServer:
    """A Redis server at a unix socket, which can be killed, frozen, and started again, empty."""

    def __init__(self, folder: Path, *options: str, password: str = "", prefix: Sequence[str] = ()) -> None:
        self.program = require("redis-server", "valkey-server")
        self.path = folder / "redis.socket"
        self.url = f"redis+unix://{self.path}"
        self._options = (*options, *(["--requirepass", password] if password else []))
        self._password = password
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            *self._prefix,
            self.program,
            "--port",
            "0",
            "--unixsocket",
            str(self.path),
            "--save",
            "",
            *self._options,
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("PING")
                return
            except OSError:
                assert time.monotonic() < deadline, "the Redis server does not start"
                time.sleep(0.02)

    def ask(self, *words: str) -> bytes:
        """Send a command on a connection of its own, and return the first part of the answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(self.path))
            if self._password:
                sock.sendall(encoded("AUTH", self._password))
                assert sock.recv(65536) == b"+OK\r\n"
            sock.sendall(encoded(*words))
            return sock.recv(65536)

    def grant_leases_at_once(self) -> None:
        """Pretend that the data has been here for long."""
        info = self.ask("INFO", "server").decode()
        run = next(line.partition(":")[2] for line in info.splitlines() if line.startswith("run_id:"))
        self.ask("HSET", "wsframe:leases:born", "run", run, "at", "0")

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def empty(self) -> None:
        """Have it start without data: it keeps none anyway."""

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def kill_connections(self) -> None:
        """Have the server end all connections."""
        for kind in ("normal", "pubsub"):
            self.ask("CLIENT", "KILL", "TYPE", kind)

    def freeze(self) -> None:
        """Stop the process; the kernel goes on accepting for it."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def encoded(*words: str) -> bytes:
    """Write a command as Redis reads it."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


@contextmanager
def redis_server(folder: Path, *options: str, password: str = "", prefix: Sequence[str] = ()) -> Iterator[RedisServer]:
    """Run a server until the block ends; ``prefix`` begins its command."""
    server = RedisServer(folder, *options, password=password, prefix=prefix)
    try:
        server.start()
        yield server
    finally:
        server.kill()
