"""A rolling restart of real processes: clients stay connected, and nobody is refused."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.cli.workers import Service, eventually, lives, service
from tests.patience import PATIENCE
from wsframe.cli import main

TARGET = """
import os
import wsframe


class Counter(wsframe.Resource):
    count = 0

    async def received_text(self, client, message):
        self.count += 1
        client.send_text(f"{os.getpid()} {self.count} {message}")

    async def hand_over(self):
        return str(self.count).encode()

    async def take_over(self, state):
        self.count = int(state)


class Plain(wsframe.Resource):
    async def received_text(self, client, message):
        client.send_text(f"{os.getpid()} {message}")


wsframe.register_global_resource("/counter", Counter(), wsframe.any_origin)
wsframe.register_global_resource("/plain", Plain(), wsframe.any_origin)
"""

SERVE = ("-m", "wsframe", "serve", "restarts.py", "--port", "0", "--workers", "1")


def client_of(address: str, path: str) -> ClientConnection:
    return connect(f"{address}{path}", open_timeout=PATIENCE, proxy=None)


def ask(client: ClientConnection, message: str) -> list[str]:
    client.send(message)
    answer = client.recv(PATIENCE)
    assert isinstance(answer, str)
    return answer.split()


def restart(running: Service) -> None:
    running.process.send_signal(signal.SIGHUP)
    running.until("all workers have been restarted")


def test_clients_and_state_go_to_the_new_process_and_the_others_get_1012(tmp_path: Path) -> None:
    (tmp_path / "restarts.py").write_text(TARGET)
    with service(tmp_path, *SERVE) as running:
        address = running.until("Serving at").split()[2]
        with client_of(address, "/counter") as counter, client_of(address, "/plain") as plain:
            first = int(ask(counter, "a")[0])
            assert ask(plain, "a") == [str(first), "a"]
            restart(running)
            pid, count, message = ask(counter, "b")
            assert (count, message) == ("2", "b")
            assert pid != str(first)
            eventually(lambda: not lives(first))
            with client_of(address, "/plain") as again:
                assert ask(again, "c") == [pid, "c"]
            restart(running)
            assert ask(counter, "c")[1:] == ["3", "c"]
            running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0
        assert running.runtime() == []


def test_the_command_waits_for_the_end_and_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "restarts.py").write_text(TARGET)
    admin = str(tmp_path / "admin")
    with service(tmp_path, *SERVE, "--admin", admin) as running:
        running.until("Serving at")
        assert main(["restart", "--admin", admin]) == 0
        assert capsys.readouterr().out == "all workers have been restarted\n"
        (tmp_path / "restarts.py").write_text("import no_such_module")
        assert main(["restart", "--admin", admin]) == 1
        assert "not restarted: the new worker 0" in capsys.readouterr().err
        assert main(["restart", str(running.process.pid)]) == 0
        running.until("restarting 1 workers")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give the process of the supervisor, or --admin PATH"),
        (["1", "--admin", "x"], "give the process of the supervisor, or --admin PATH"),
        (["--admin", "/nowhere/admin"], "nobody answers at /nowhere/admin"),
        (["999999999"], "cannot restart process 999999999: No such process"),
        (["99999999999999999999"], "cannot restart process 99999999999999999999: No such process"),
        (["0"], "cannot restart process 0: a process has a number from 1"),
        (["-1"], "cannot restart process -1: a process has a number from 1"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restart", *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_only_a_supervisor_gets_the_order_and_others_lead_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "restarts.py").write_text(TARGET)
    with service(tmp_path, *SERVE) as running:
        running.until("Serving at")
        supervisor = running.process.pid
        for worker in running.workers():
            assert main(["restart", str(worker)]) == 2
            assert capsys.readouterr().err == (
                f"wsframe: process {worker} is not the supervisor of a service: "
                f"it is one of those that process {supervisor} supervises, so give {supervisor}\n"
            )
        assert main(["restart", str(os.getpid())]) == 2
        assert f"it has started process {supervisor}, which is one, so give {supervisor}" in capsys.readouterr().err
        assert main(["restart", str(supervisor)]) == 0
        running.until("all workers have been restarted")


def test_a_process_of_another_program_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        assert main(["restart", str(other.pid)]) == 2
        assert f"process {other.pid} is not the supervisor of a service: give that of" in capsys.readouterr().err
        other.terminate()
        assert other.wait(PATIENCE) == -signal.SIGTERM


def test_a_program_that_cannot_start_leaves_the_old_workers_alone(tmp_path: Path) -> None:
    (tmp_path / "restarts.py").write_text(TARGET)
    with service(tmp_path, *SERVE) as running:
        address = running.until("Serving at").split()[2]
        with client_of(address, "/counter") as counter:
            (pid, *_) = ask(counter, "a")
            (tmp_path / "restarts.py").write_text("import no_such_module")
            running.process.send_signal(signal.SIGHUP)
            running.until("the restart has stopped: the new worker 0 cannot start: cannot import")
            assert ask(counter, "b") == [pid, "2", "b"]
        assert os.getpgid(int(pid))
