"""The counting example goes on after a restart with its count and its connections."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.cli.workers import service
from tests.examples.running import EXAMPLES
from tests.patience import PATIENCE


def receive(client: ClientConnection) -> Any:
    return json.loads(client.recv(PATIENCE))


def test_it_survives_a_restart_with_its_count_and_its_connections(tmp_path: Path) -> None:
    command = ("-m", "wsframe", "serve", str(EXAMPLES / "counting.py"), "--port", "0", "--workers", "1")
    with service(tmp_path, *command) as running:
        address = running.until("Serving at").split()[2]
        with (
            connect(f"{address}/counting", open_timeout=PATIENCE, proxy=None) as one,
            connect(f"{address}/counting", open_timeout=PATIENCE, proxy=None) as other,
        ):
            first = receive(one)
            assert receive(other) == first
            one.send("press")
            assert receive(one) == {**first, "count": 1, "yours": 1}
            assert receive(other) == {**first, "count": 1}
            running.process.send_signal(signal.SIGHUP)
            running.until("all workers have been restarted")
            after = receive(one)
            assert (after["count"], after["yours"]) == (1, 1)
            assert after["process"] != first["process"]
            assert receive(other)["yours"] == 0
            other.send("press")
            assert receive(one)["count"] == 2
