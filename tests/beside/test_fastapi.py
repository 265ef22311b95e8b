"""FastAPI and wsframe in one process, served by uvicorn: as a guest of its loop, and in a thread."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.patience import PATIENCE, watched

FOLDER = Path(__file__).parents[2] / "docs" / "beside"

urlopen = build_opener(ProxyHandler({})).open

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there it is not ended by a signal")


class Application(NamedTuple):
    process: subprocess.Popen[str]
    http: str
    websockets: str


def line_with(process: subprocess.Popen[str], form: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(form, line)
        if found:
            return found[1]
    raise AssertionError(f"it ended without {form!r}")


@contextmanager
def running(name: str) -> Iterator[Application]:
    """Run an application; give its addresses."""
    command = [sys.executable, "-W", "error", "-m", "uvicorn", f"{name}:app", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "WEBSOCKET_PORT": "0"}
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=FOLDER
        ) as process,
        watched(process),
    ):
        websockets = line_with(process, r"WebSockets at (ws://127\.0\.0\.1:\d+)")
        yield Application(process, line_with(process, r"running on (http://127\.0\.0\.1:\d+)"), websockets)


def post(address: str) -> dict[str, int]:
    with urlopen(Request(address, method="POST"), timeout=PATIENCE) as answer:
        found: dict[str, int] = json.loads(answer.read())
    return found


@pytest.mark.parametrize(
    ("name", "answer", "number"),
    [("fastapi_guest", {"queued": 1}, signal.SIGINT), ("fastapi_thread", {"clients": 1}, signal.SIGTERM)],
)
def test_a_request_to_the_application_reaches_the_clients_of_a_resource(
    name: str, answer: dict[str, int], number: signal.Signals
) -> None:
    with running(name) as application, connect(f"{application.websockets}/room", proxy=None) as client:
        client.send("from a client")
        assert client.recv(PATIENCE) == "from a client"
        assert post(f"{application.http}/say?message=from+a+request") == answer
        assert client.recv(PATIENCE) == "from a request"
        application.process.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert application.process.wait(PATIENCE) in (0, -number)


@pytest.mark.parametrize("name", ["fastapi_guest", "fastapi_thread"])
def test_a_port_that_is_taken_keeps_the_application_from_starting(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = subprocess.run(
            [sys.executable, "-m", "uvicorn", f"{name}:app", "--port", "0"],
            capture_output=True, text=True, cwd=FOLDER, timeout=PATIENCE,
            env={**os.environ, "WEBSOCKET_PORT": str(port)}, check=False,
        )  # fmt: skip
    assert second.returncode == 3
    assert f"cannot listen at 127.0.0.1:{port}" in second.stderr
