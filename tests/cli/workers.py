"""A service of several worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE

__all__ = ["TARGET", "Service", "service"]


TARGET = """
import os
import sys
import time
import wsframe


class Who(wsframe.Resource):
    scope = "shared"

    async def client_connected(self, client):
        client.send_text(str(os.getpid()))

    async def received_text(self, client, message):
        if message == "exit":
            sys.exit(3)
        if message == "close":
            self.server.close(4001)
        if message == "fork" and not os.fork():
            time.sleep(600)
        if message == "block":
            print("blocking\\n", end="", flush=True)
            time.sleep(600)
        client.send_text(message)


wsframe.register_global_resource("/who", Who(), wsframe.any_origin)
if __name__ == "__main__":
    def started(server):
        print(f"started at {server.addresses[0]}\\n", end="", flush=True)  # one write: others write there, too

    wsframe.run(port=0, workers=2, started=started)
"""


class Service:
    """A running service, whose runtime directory is in a folder, and which has been started in another one."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, started_in: Path) -> None:
        self.process = process
        self.folder = folder
        self.started_in = started_in
        self.printed: list[str] = []
        """All lines so far, of both streams."""
        self._lines: Queue[str | None] = Queue()
        self._thread = threading.Thread(target=self._pump)
        self._thread.start()

    def _pump(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line.rstrip())
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def until(self, words: str) -> str:
        """Return the next line with these words."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            if words in line:
                return line
        raise EOFError("\n".join(self.printed))

    def workers(self) -> set[int]:
        """Return the processes of the workers."""
        return children_of(self.process.pid)

    def runtime(self) -> list[Path]:
        """Return the runtime directories that are there."""
        return list(self.folder.glob("wsframe-*"))

    def end(self) -> int:
        """Wait for the end of the supervisor, whatever its workers do; return its status."""
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Kill the processes that are left."""
        left = self.workers()
        self.process.kill()
        for pid in left:
            with_process(pid, signal.SIGKILL)
        self._thread.join(PATIENCE)


def children_of(pid: int) -> set[int]:
    """Return the child processes of one, whichever of its threads started them."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, children.read_text().split()))
    return found


def with_process(pid: int, number: int) -> None:
    """Send a signal to a process that can have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def lives(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    by = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < by, "it does not come true"
        time.sleep(0.05)


def open_client(address: str, **options: Any) -> ClientConnection:
    """Open a connection and wait for the 101."""
    client: ClientConnection = connect(f"{address}/who", open_timeout=PATIENCE, proxy=None, **options)
    return client


def without_coverage() -> dict[str, str]:
    """Return the environment for processes whose lines are not counted: five of them would take a minute to start."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}


@contextmanager
def service(folder: Path, *command: str, **environment: str) -> Iterator[Service]:
    """Run a service until the body is left."""
    (folder / "who.py").write_text(TARGET)
    # pytest's own folders are so long that no unix socket fits below them, with xdist.
    with (
        TemporaryDirectory(prefix="runtime-") as short,
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**without_coverage(), "XDG_RUNTIME_DIR": short, **environment},
            start_new_session=True,
        ) as process,
    ):
        running = Service(process, Path(short), folder)
        try:
            yield running
        finally:
            running.close()
