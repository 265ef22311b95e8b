"""A target, and ``wsframe serve`` as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.certificates import for_threads
from tests.patience import PATIENCE, watched

__all__ = ["TARGET", "Program", "serving"]


GENEROUS = ("--handshake-timeout", str(PATIENCE), "--close-timeout", str(PATIENCE))
"""So that a machine that is busy makes no difference."""

TARGET = """
import sys
import trio
import wsframe
from sibling import GREETING


class Hello(wsframe.Resource):
    async def client_connected(self, client):
        client.send_text(GREETING)

    async def disconnected(self, client):
        print("goodbye", flush=True)
        while client.path == "/clinging":
            await trio.sleep(1)


async def page(request):
    return wsframe.Response(f"page of {request.path}")


def no_handler(request):
    pass


hello = Hello()
if __name__ == "__main__":
    sys.exit("it was run, not imported")
wsframe.register_global_resource("/hello", hello)
wsframe.register_global_resource("/clinging", hello)
registry, empty = wsframe.Registry(), wsframe.Registry()
registry.register("/own", Hello())
"""


class Program:
    """A running ``wsframe serve``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.stdout = process.stdout
        self.first_line = self.stdout.readline()
        self.address = self.first_line.split()[2]

    def open(self, path: str, **options: Any) -> ClientConnection:
        if "ssl" in options:
            options["ssl"] = for_threads(options["ssl"])
        client: ClientConnection = connect(self.address + path, open_timeout=PATIENCE, proxy=None, **options)
        return client

    def end(self, signal_number: int) -> str:
        """Send a signal; return the rest of the program's output. It must have ended well."""
        self.process.send_signal(signal_number)
        rest = self.stdout.read()
        assert self.process.wait(PATIENCE) == 0
        return rest


@contextmanager
def serving(folder: Path, *arguments: str, **options: Any) -> Iterator[Program]:
    command = [sys.executable, "-m", "wsframe", "serve", *arguments, "--log-level", "error", *GENEROUS]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, **options) as process,
        watched(process),
    ):
        yield Program(process)
