"""Relays for tests: in this process, and in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.queue import LIMIT
from wsframe.backplane.relay_process import ENGINE, serve_relay


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a unix socket, as a supervisor does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(64)
        yield listener


@asynccontextmanager
async def relay(
    path: Path, *, limit: int = LIMIT, forgetful: bool = False, engine: SupervisedBackplane | None = None
) -> AsyncIterator[None]:
    """Run a relay in this process."""
    with listening(path) as listener:
        listener.setblocking(False)
        ours = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: serve_relay(ours, limit=limit, forgetful=forgetful, engine=engine))
            yield
            nursery.cancel_scope.cancel()


@contextmanager
def relay_process(
    listener: socket.socket, engine: str = "", stderr: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a relay in a process of its own, which ends with the block; ``engine`` is the URL of its engine."""
    command = [sys.executable, "-m", "wsframe.backplane.relay_process", str(listener.fileno())]
    environment = {**os.environ, ENGINE: engine}
    with subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()
