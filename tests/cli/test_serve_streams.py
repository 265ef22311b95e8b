"""``wsframe serve`` with standard streams that are closed, full, or that nobody reads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.patience import PATIENCE, watched
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no /bin/sh, and there are no such signals")

TARGET = """
import logging
import wsframe


class Echo(wsframe.Resource):
    async def received_text(self, client, message):
        if message == "log":
            for _ in range(3000):
                logging.getLogger("chatter").error("x" * 1000)
        client.send_text(message)


wsframe.register_global_resource("/", Echo())
"""

SHELL = {
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "stdin closed": "<&-",
    "all closed": "<&- >&- 2>&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "both full": ">/dev/full 2>&1",
    "nobody reads": "",
}


@contextmanager
def served(folder: Path, streams: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server with its streams as a shell sets them up; the rest are pipes that nobody reads."""
    (folder / "echo_target.py").write_text(TARGET)
    port = free_port()
    command = f'exec "{sys.executable}" -m wsframe serve echo_target.py --port {port} {streams}'
    reading, writing = os.pipe()
    with subprocess.Popen(["/bin/sh", "-c", command], cwd=folder, stdout=writing, stderr=writing) as process:
        os.close(writing)
        try:
            with watched(process):
                yield process, f"ws://127.0.0.1:{port}/"
        finally:
            os.close(reading)


def wait_until_open(process: subprocess.Popen[bytes], address: str) -> None:
    host, _, port = address.removeprefix("ws://").rstrip("/").partition(":")
    while True:
        assert process.poll() is None, "it ended"
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionError:
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("streams", SHELL.values(), ids=SHELL)
def test_it_serves_and_ends_well(tmp_path: Path, streams: str) -> None:
    with served(tmp_path, streams) as (process, address):
        wait_until_open(process, address)
        with connect(address, proxy=None, open_timeout=PATIENCE) as peer:
            for message in ("a", "log", "b"):
                peer.send(message)
                assert peer.recv(timeout=PATIENCE) == message
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_it_serves_though_the_reader_of_its_output_has_gone(tmp_path: Path) -> None:
    (tmp_path / "echo_target.py").write_text(TARGET)
    port = free_port()
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "wsframe", "serve", "echo_target.py", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=writing, stderr=writing) as process:
        os.close(writing)
        try:
            address = f"ws://127.0.0.1:{port}/"
            wait_until_open(process, address)
            with connect(address, proxy=None, open_timeout=PATIENCE) as peer:
                peer.send("a")
                assert peer.recv(timeout=PATIENCE) == "a"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_a_command_whose_output_cannot_be_written_fails_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "echo_target.py").write_text(TARGET)
    command = f'exec "{sys.executable}" -m wsframe routes echo_target.py >/dev/full'
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (1, "wsframe: cannot write the output: No space left on device\n")
