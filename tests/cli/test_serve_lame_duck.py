"""``wsframe serve --lame-duck``, as a process with signals of its own."""

import signal
import socket
from pathlib import Path

import pytest

from tests.cli.program import Program, serving
from tests.patience import PATIENCE

TARGET = """
import sys
import wsframe


class Echo(wsframe.Resource):
    async def received_text(self, client, message):
        if message == "exit":
            sys.exit(7)
        client.send_text(message)


wsframe.register_global_resource("/", Echo())
ready = wsframe.readyz
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "duck_target.py").write_text(TARGET)
    return tmp_path


def readiness(program: Program) -> int:
    """Ask for ``/readyz``; return the status."""
    with socket.create_connection(("127.0.0.1", int(program.address.rpartition(":")[2]))) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return int(sock.makefile("rb").readline().split()[1])


def wait_until_unready(program: Program) -> None:
    while readiness(program) != 503:
        pass


def arguments(lame_duck: str) -> list[str]:
    return ["duck_target.py", "--port", "0", "--http-handler", "ready", "--lame-duck", lame_duck]


def test_after_sigterm_readiness_fails_and_everything_goes_on_until_a_second_signal(folder: Path) -> None:
    with serving(folder, *arguments("600")) as program, program.open("/") as first:
        assert readiness(program) == 200
        program.process.send_signal(signal.SIGTERM)
        wait_until_unready(program)
        with program.open("/") as second:
            for client in (first, second):
                client.send("hello")
                assert client.recv(timeout=PATIENCE) == "hello"
            assert program.end(signal.SIGTERM) == ""
            for client in (first, second):
                assert list(client) == []
                assert client.close_code == 1001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_the_lame_duck_clients_leave_in_order(folder: Path, number: int) -> None:
    with serving(folder, *arguments("0.3")) as program, program.open("/") as client:
        program.process.send_signal(number)
        assert list(client) == []
        assert client.close_code == 1001
        assert program.process.wait(PATIENCE) == 0


def test_an_exit_in_a_hook_during_the_lame_duck_keeps_its_status(folder: Path) -> None:
    with serving(folder, *arguments("1")) as program, program.open("/") as client:
        program.process.send_signal(signal.SIGTERM)
        wait_until_unready(program)
        client.send("exit")
        assert list(client) == []
        assert client.close_code == 1001
        assert program.process.wait(PATIENCE) == 7
