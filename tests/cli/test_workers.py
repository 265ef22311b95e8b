"""``wsframe serve --workers`` and ``run(workers=...)``: real processes, killed and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.cli.workers import Service, children_of, eventually, lives, open_client, service
from tests.patience import PATIENCE
from wsframe.cli import main, make_parser
from wsframe.cli.errors import Mistake
from wsframe.cli.workers import check_workers

SERVE = ("-m", "wsframe", "serve", "who.py", "--port", "0", "--workers", "2")


def test_workers_14_a_killed_worker_has_a_successor_and_a_signal_leaves_nothing(tmp_path: Path) -> None:
    with service(tmp_path, *SERVE) as running:
        address = running.until("Serving at").split()[2]
        first = running.workers()
        assert len({os.getpgid(pid) for pid in first} | {os.getpgid(running.process.pid)}) == 1 + len(first)
        with open_client(address) as client:
            pid = int(client.recv(PATIENCE))
            assert pid in first
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
        assert f"(process {pid}) ended with status 137" in running.until("another one starts now")
        running.until("is ready")
        everybody = first | running.workers()
        with open_client(address) as client:
            assert int(client.recv(PATIENCE)) in everybody - {pid}
            running.process.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert client.close_code == 1001
        assert running.end() == 0
        assert not any(map(lives, everybody))
        assert running.runtime() == []
        assert sum("Serving at" in line for line in running.printed) == 1


def test_a_process_that_waits_takes_the_place_of_a_killed_worker(tmp_path: Path) -> None:
    with service(tmp_path, *SERVE) as running:
        address = running.until("Serving at").split()[2]
        spare = one_that_waits(running)
        with open_client(address) as client:
            os.kill(int(client.recv(PATIENCE)), signal.SIGKILL)
        assert f"(process {spare}) is ready" in running.until("is ready")
        eventually(lambda: spare in {pid_of_client(address) for _ in range(10)})
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0
        assert not lives(spare)


def test_a_process_that_waits_ends_with_its_supervisor_and_before_a_restart(tmp_path: Path) -> None:
    with service(tmp_path, *SERVE) as running:
        running.until("Serving at")
        spare = one_that_waits(running)
        running.process.send_signal(signal.SIGHUP)
        running.until("all workers have been restarted")
        eventually(lambda: not lives(spare))
        another = one_that_waits(running)
        running.process.kill()
        eventually(lambda: not lives(another))


def one_that_waits(running: Service) -> int:
    """Return the process that waits to become a worker, once there is one."""
    found: list[int] = []

    def look() -> bool:
        found[:] = filter(waits, running.workers())
        return bool(found)

    eventually(look)
    (waiting,) = found
    return waiting


def waits(pid: int) -> bool:
    """Return whether a process waits to become a worker; as one it has an event loop."""
    try:
        spare = b"WSFRAME_SPARE=" in Path(f"/proc/{pid}/environ").read_bytes()
        return spare and not any("eventpoll" in os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or has just closed a file that it imports
        return False


def pid_of_client(address: str) -> int:
    with open_client(address) as client:
        return int(client.recv(PATIENCE))


def test_the_whole_service_is_seen_at_one_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "admin")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        service(tmp_path, *SERVE, "--admin", path, NOTIFY_SOCKET=str(tmp_path / "manager")) as running,
    ):
        manager.bind(str(tmp_path / "manager"))
        manager.settimeout(PATIENCE)
        address = running.until("Serving at").split()[2]
        assert f"READY=1\nMAINPID={running.process.pid}\n" in manager.recv(1000).decode()
        with open_client(address) as client:
            client.recv(PATIENCE)
            told: dict[str, Any] = {}

            def is_told() -> bool:
                """Ask until all workers have answered in time."""
                assert main(["top", path, "--once", "--json"]) == 0
                told.update(json.loads(capsys.readouterr().out))
                return bool(told["clients"] == 1)

            eventually(is_told)
            assert {one["pid"] for one in told["workers"]} < running.workers()
            assert [one["state"] for one in told["workers"]] == ["ready", "ready"]
            assert any("worker 1: serving at" in line for line in running.printed)
        running.process.send_signal(signal.SIGTERM)
        assert manager.recv(1000).startswith(b"STOPPING=1")
        assert running.end() == 0
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):  # the workers have said nothing
            manager.recv(1000)


def test_workers_14_workers_whose_supervisor_is_killed_drain_and_leave_nothing(tmp_path: Path) -> None:
    with service(tmp_path, *SERVE, "--drain-timeout", "1") as running, ExitStack() as stack:
        address = running.until("Serving at").split()[2]
        workers = running.workers()
        assert len(running.runtime()) == 1
        blocked = stack.enter_context(open_client(address))
        blocked.recv(PATIENCE)
        blocked.send("block")  # a loop that stands still notices nothing
        running.until("blocking")
        with open_client(address) as client:
            client.recv(PATIENCE)
            running.process.kill()
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert client.close_code == 1001
        eventually(lambda: not any(map(lives, workers)))
        assert running.runtime() == []


def test_workers_14_a_process_that_a_hook_forks_holds_up_no_service_that_follows(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free, TemporaryDirectory(prefix="runtime-") as runtime:
        command = ("-m", "wsframe", "serve", "who.py", "--workers", "2", "--port", str(free.getsockname()[1]))
        free.close()
        with service(tmp_path, *command, XDG_RUNTIME_DIR=runtime) as running:
            address = running.until("Serving at").split()[2]
            workers = running.workers()
            with open_client(address) as client:
                pid = int(client.recv(PATIENCE))
                client.send("fork")
                assert client.recv(PATIENCE) == "fork"
                (child,) = children_of(pid)
                running.process.kill()
            try:
                eventually(lambda: not any(map(lives, workers)))
                with service(tmp_path, *command, XDG_RUNTIME_DIR=runtime) as following:
                    following.until("Serving at")
                    assert lives(child)
            finally:
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(("word", "status", "code"), [("exit", 3, 1001), ("close", 0, 4001)])
def test_the_program_of_a_worker_ends_the_service(tmp_path: Path, word: str, status: int, code: int) -> None:
    with service(tmp_path, "who.py") as running:
        address = running.until("started at").split()[2]
        with open_client(address) as other, open_client(address) as client:
            other.recv(PATIENCE)
            client.send(word)
            with pytest.raises(ConnectionClosed):
                other.recv(PATIENCE)
            assert other.close_code == code
        assert running.end() == status
        assert running.runtime() == []
        assert sum("started at" in line for line in running.printed) == 1


def test_a_program_that_cannot_start_ends_the_command_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise LookupError('no database')\n")
    with service(tmp_path, "-m", "wsframe", "serve", "broken.py", "--port", "0", "--workers", "2") as running:
        assert running.end() == 2
        running.close()
        (line,) = running.printed
        assert line.startswith("wsframe: worker ")
        assert "cannot start: cannot import broken.py: LookupError: no database (" in line
        assert running.runtime() == []


def made(*arguments: str) -> Namespace:
    return make_parser().parse_args(["serve", "chat.py", *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"), [(("--debug",), "--workers: debug"), (("--max-head", "128K"), "at most 65536, not 131072")]
)
def test_options_that_workers_cannot_have_are_mistakes(arguments: tuple[str, ...], words: str) -> None:
    check_workers(made(*arguments))
    check_workers(made("--workers", "auto"))
    with pytest.raises(Mistake, match=words):
        check_workers(made("--workers", "2", *arguments))


@pytest.mark.parametrize("number", ["0", "-1", "two", "", "1.5"])
def test_a_number_of_workers_is_from_one_on_or_auto(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        made("--workers", number)
    assert "--workers" in capsys.readouterr().err
