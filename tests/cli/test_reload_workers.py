"""``wsframe serve --reload --workers``: all workers start again together, whatever is in the new code."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.cli.workers import children_of, eventually, lives, service
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("no_stale_bytecode")

TARGET = """
import wsframe


class Hello(wsframe.Resource):
    scope = "shared"

    async def client_connected(self, client):
        client.send_text("old")


wsframe.register_global_resource("/hello", Hello(), wsframe.any_origin)
"""


def family(pid: int) -> set[int]:
    """Return all processes below one."""
    found = children_of(pid)
    return found.union(*map(family, found))


def test_workers_14_a_change_restarts_all_workers_and_a_signal_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "hello.py"
    target.write_text(TARGET)
    options = ("--port", "0", "--workers", "2", "--reload")
    with service(tmp_path, "-m", "wsframe", "serve", "hello.py", *options) as running:
        address = running.until("Serving at").split()[2]
        with connect(f"{address}/hello", open_timeout=PATIENCE, proxy=None) as client:
            assert client.recv(PATIENCE) == "old"
            before = family(running.process.pid)
            target.write_text("raise LookupError('not yet')\n")
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert client.close_code == 1012
        running.until("LookupError: not yet")
        target.write_text(TARGET.replace('"old"', '"new"'))
        running.until("Serving at")
        with connect(f"{address}/hello", open_timeout=PATIENCE, proxy=None) as client:
            assert client.recv(PATIENCE) == "new"
        after = family(running.process.pid)
        assert len(after) == len(before)
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0
        eventually(lambda: not any(map(lives, before | after)))
        assert running.runtime() == []
