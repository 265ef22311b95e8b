"""A counter in the browser that survives restarts: its state and its connections go to the new process.

Run it with ``wsframe serve examples/counting.py --workers 1 --admin counting.admin``, or with ``python
examples/counting.py``; open the address it prints in several tabs, and press the button. Then change this file, and
run ``wsframe restart --admin counting.admin`` or send SIGHUP to the first process: the pages stay connected, the
count stays, and the process below it is another one.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import wsframe
from wsframe import (
    Client,
    Resource,
    Server,
    browser_client,
    register_global_resource,
    register_global_route,
    static_file,
)


class Counting(Resource[int]):
    """One counter for all; ``client.data`` is how often each client has pressed the button."""

    def __init__(self) -> None:
        self.count = 0

    async def client_connected(self, client: Client[int]) -> None:
        client.data = 0
        self.tell(client)

    async def received_text(self, client: Client[int], message: str) -> None:
        self.count += 1
        client.data += 1
        for other in self.clients:
            self.tell(other)

    def tell(self, client: Client[int]) -> None:
        client.send_text(json.dumps({"count": self.count, "yours": client.data, "process": os.getpid()}))

    async def hand_over(self) -> bytes:
        return json.dumps({"version": 1, "count": self.count}).encode()

    async def take_over(self, state: bytes) -> None:
        self.count = json.loads(state)["count"]

    def restore_client(self, client: Client[int], state: int) -> None:
        client.data = state
        self.tell(client)


register_global_resource("/counting", Counting())
register_global_route("/", static_file(Path(__file__).with_name("counting.html")))
register_global_route("/wsframe.js", browser_client)


def announce(server: Server) -> None:
    print(f"Counting at http{server.addresses[0].removeprefix('ws')}/ (open it in several tabs)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a counter that survives restarts.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    options = parser.parse_args()
    try:
        wsframe.run(port=options.port, workers=options.workers, started=announce)
    except OSError as error:
        sys.exit(f"cannot serve at port {options.port}: {error.strerror}; try --port 0")
