"""``wsframe serve --backplane``: servers that share topics, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.backplane.redis_server import redis_server
from tests.cli.program import Program, serving
from tests.cli.workers import children_of, eventually, lives, service
from tests.patience import PATIENCE
from tests.requirements import require_package
from wsframe import cli

TARGET = """
import logging

import wsframe

logging.getLogger("wsframe.backplane").setLevel("WARNING")


class Room(wsframe.Resource):
    scope = "shared"

    async def client_connected(self, client):
        self.subscribe(client, "room")

    async def received_text(self, client, message):
        self.publish_text("room", message)


wsframe.register_global_resource("/room", Room())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    require_package("glide")
    (tmp_path / "room_target.py").write_text(TARGET)
    return tmp_path


def status(program: Program, path: str) -> tuple[int, str]:
    """Ask at the port of the metrics."""
    page = program.first_line.split("metrics at ")[1].strip().replace("/metrics", path)
    try:
        with build_opener(ProxyHandler({})).open(page, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode().strip()
    except HTTPError as error:
        return error.code, error.read().decode().strip()


def until_ready(program: Program) -> None:
    """Wait until the server is ready."""
    deadline = time.monotonic() + PATIENCE
    while status(program, "/readyz")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def heard_by(sender: ClientConnection, receiver: ClientConnection) -> None:
    """Send a word of its own until the other client hears it: a subscription takes a moment to reach other servers."""
    word, deadline = str(time.monotonic_ns()), time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline
        sender.send(word)
        try:
            while receiver.recv(0.1) != word:
                pass
            return
        except TimeoutError:
            pass


def test_two_servers_share_topics_and_an_engine_that_is_late_is_told(folder: Path) -> None:
    url = f"redis+unix://:secret@{folder}/redis.socket"
    options = ["room_target", "--port", "0", "--metrics-port", "0", "--log-format", "json", "--backplane", url]
    log = folder / "log"
    with log.open("wb") as stderr, serving(folder, *options, stderr=stderr) as one, serving(folder, *options) as two:
        assert status(one, "/readyz") == (503, "backplane not reached yet")
        assert status(one, "/healthz") == (200, "alive")
        with redis_server(folder, password="secret"):
            until_ready(one)
            until_ready(two)
            with one.open("/room") as sender, two.open("/room") as receiver:
                heard_by(sender, receiver)
        assert status(one, "/readyz") == (200, "ready")  # it has been reached once, and clients here go on
        one.end(signal.SIGTERM)
        two.end(signal.SIGTERM)
    first = json.loads(log.read_text().splitlines()[0])["message"]
    assert first.startswith(f"the backplane at redis+unix://{folder}/redis.socket cannot be reached: ")
    assert first.endswith("; trying again")
    assert "secret" not in log.read_text()


def test_a_wrong_password_is_one_line_and_status_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    with redis_server(folder, password="right-one"):
        url = f"redis+unix://:wrong-one@{folder}/redis.socket"
        assert cli.main(["serve", "room_target", "--port", "0", "--backplane", url]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "refuses us" in line] == told[-1:]
    assert "-one" not in "".join(told)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_another_address_is_one_line_and_status_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    monkeypatch.chdir(folder)
    if by == "environment":
        monkeypatch.setenv("WSFRAME_BACKPLANE", "nats://:secret@h")
    options = ["--backplane", "nats://:secret@h"] if by == "option" else []
    assert cli.main(["serve", "room_target", "--port", "0", *options]) == 2
    told = capsys.readouterr().err
    assert "--backplane: nats:// is not the address of a backplane: expected redis://" in told
    assert "secret" not in told


def test_a_wrong_password_with_workers_is_one_line_and_status_2(folder: Path) -> None:
    with redis_server(folder, password="right-one"), TemporaryDirectory(prefix="runtime-") as short:
        url = f"redis+unix://:wrong-one@{folder}/redis.socket"
        command = [sys.executable, "-m", "wsframe", "serve", "room_target", "--port", "0", "--workers", "2"]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "XDG_RUNTIME_DIR": short, "WSFRAME_BACKPLANE": url},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("refuses us") == 1
    assert "refuses us" in done.stderr.splitlines()[-1]
    assert "-one" not in done.stdout + done.stderr


def test_workers_have_one_link_to_an_engine_that_can_be_late_and_a_relay_that_was_killed_is_replaced(
    folder: Path,
) -> None:
    log = folder / "log"
    with TemporaryDirectory(prefix="runtime-") as short, log.open("wb") as stderr:
        options = ["room_target", "--port", "0", "--backplane", f"redis+unix://:secret@{folder}/redis.socket"]
        environment = {**os.environ, "XDG_RUNTIME_DIR": short}
        with (
            serving(
                folder, *options, "--workers", "2", "--metrics-port", "0", env=environment, stderr=stderr
            ) as workers,
            serving(folder, *options) as other,
        ):
            assert status(workers, "/readyz") == (503, "backplane not reached yet")
            with redis_server(folder, password="secret") as redis:
                until_ready(workers)
                with workers.open("/room") as one, other.open("/room") as two:
                    heard_by(one, two)
                    listed = redis.ask("CLIENT", "LIST").decode().splitlines()
                    assert len([line for line in listed if "id=" in line]) == 3  # it asks, the relay, the other server
                    for pid in children_of(workers.process.pid):
                        if b"relay_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                            os.kill(pid, signal.SIGKILL)
                    heard_by(one, two)
                    heard_by(two, one)
                workers.end(signal.SIGTERM)
                other.end(signal.SIGTERM)
    lines = [line for line in log.read_text().splitlines() if "cannot be reached" in line]
    assert len(lines) == 1
    assert f"relay: the backplane at redis+unix://{folder}/redis.socket cannot be reached" in lines[0]
    assert "secret" not in log.read_text()


OWNERS = """
import os

import wsframe


class Room(wsframe.Resource):
    scope = "path"

    async def client_connected(self, client):
        client.send_text(f"{os.getpid()} {self.ownership.token}")


wsframe.register_global_factory("/rooms/{room}", lambda request: Room(), wsframe.any_origin, scope="path")
"""


def owner_of(address: str, room: int) -> tuple[int, int]:
    """Return the process that has a room and the token of its lease, as soon as a newcomer is let in."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with connect(f"{address}/rooms/{room}", open_timeout=PATIENCE, proxy=None) as client:
                pid, token = str(client.recv(PATIENCE)).split()
                return int(pid), int(token)
        except (WebSocketException, OSError):  # it was killed, or nobody has the lease yet
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_rooms_of_a_killed_worker_are_served_again_while_its_leases_run_and_a_killed_supervisor_leaves_nothing(
    folder: Path,
) -> None:
    """The leases run for longer than this test waits for anything."""
    (folder / "owners.py").write_text(OWNERS)
    options = ("--port", "0", "--workers", "2", "--drain-timeout", "1", "--lease", str(20 * PATIENCE))
    leases = ("EVAL", "return #redis.call('KEYS', 'wsframe:lease:*')", "0")
    with redis_server(folder) as redis:
        redis.grant_leases_at_once()
        with service(folder, "-m", "wsframe", "serve", "owners", *options, "--backplane", redis.url) as running:
            address = running.until("Serving at").split()[2]
            before = {room: owner_of(address, room) for room in range(8)}
            killed = before[0][0]
            os.kill(killed, signal.SIGKILL)
            running.until("another one starts now")
            after = {room: owner_of(address, room) for room in before}
            processes = running.workers()
            assert len(processes) >= 3  # and the relay, and perhaps a spare one
            assert int(redis.ask(*leases)[1:]) > 0
            running.process.kill()
            eventually(lambda: not any(map(lives, processes)))
            assert running.runtime() == []
        assert redis.ask(*leases) == b":0\r\n"
        assert redis.ask("PUBSUB", "CHANNELS") == b"*0\r\n"
    assert {pid for pid, _ in before.values()} > {killed}
    for room, (pid, token) in before.items():
        if pid == killed:
            assert after[room][0] not in {pid for pid, _ in before.values()}
            assert after[room][1] > token
        else:
            assert after[room] == (pid, token)
