"""``wsframe serve`` listens where it is told: several addresses, and sockets that systemd passes."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect, unix_connect

from tests.cli.program import PATIENCE, serving
from tests.requirements import require
from wsframe import cli

ACTIVATED = 'fds=$1; names=$2; shift 2; LISTEN_PID=$$ LISTEN_FDS=$fds LISTEN_FDNAMES=$names exec "$@"'


def test_all_addresses_are_served_and_named_in_one_line(folder: Path) -> None:
    with serving(
        folder, "hello_target", "--bind", "127.0.0.1:0", "--unix", "a.sock", "--bind", "unix:b.sock",
        "--unix-mode", "640",
    ) as program:  # fmt: skip
        assert program.first_line.startswith("Serving at unix:a.sock, ws://127.0.0.1:")
        assert program.first_line.endswith(", unix:b.sock\n")
        assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("a.sock", "b.sock")} == {0o640}
        address = program.first_line.split(", ")[1].split()[0]
        with connect(f"{address}/hello", proxy=None) as client:
            assert client.recv(timeout=PATIENCE) == "hello"
        for name in ("a.sock", "b.sock"):
            with unix_connect(str(folder / name), "ws://localhost/hello") as client:
                assert client.recv(timeout=PATIENCE) == "hello"
        program.end(signal.SIGTERM)
    assert not list(folder.glob("*.sock"))


def test_host_and_port_are_served_beside_bind(folder: Path) -> None:
    with serving(folder, "hello_target", "--port", "0", "--bind", "localhost:0") as program:
        assert program.first_line.count("ws://") >= 2


def run(folder: Path, fds: str, names: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Serve as systemd would start it, and return how that ended."""
    command = ["sh", "-c", ACTIVATED, "sh", fds, names, sys.executable, "-m", "wsframe", "serve", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("fds", "names", "words"),
    [
        ("0", "", "LISTEN_FDS must be the number of sockets, at least 1, not '0'"),
        ("three", "", "LISTEN_FDS must be the number of sockets, at least 1, not 'three'"),
        ("200", ":" * 199, "LISTEN_FDS says 200, and descriptor 3 is not open: are there fewer sockets?"),
        ("1", "web:admin", "LISTEN_FDS says 1, and LISTEN_FDNAMES names 2: 'web:admin'"),
    ],
)
def test_a_wrong_number_of_sockets_from_systemd_is_one_line_and_exit_code_2(
    folder: Path, fds: str, names: str, words: str
) -> None:
    done = run(folder, fds, names, "hello_target")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.replace("'", "") == f"wsframe: {words}\n".replace("'", "")


def test_socket_activation(folder: Path) -> None:
    """systemd's own program binds, and starts the server at the first connection."""
    require("systemd-socket-activate")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = folder / "web.sock"
    activate = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", str(path), "--fdname=tcp:unix"]
    command = [*activate, sys.executable, "-m", "wsframe", "serve", "hello_target", "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            with unix_connect(str(path), "ws://localhost/hello", open_timeout=PATIENCE) as client:
                assert client.recv(timeout=PATIENCE) == "hello"
            assert process.stdout is not None
            assert f"ws://127.0.0.1:{port} " in process.stdout.readline()
            with connect(f"ws://127.0.0.1:{port}/hello", proxy=None) as client:
                assert client.recv(timeout=PATIENCE) == "hello"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert path.exists(), "it is systemd's, which has it for the next server"


MISTAKES = {
    "--bind 8000": "argument --bind: '8000' needs a port from 0 to 65535 at its end; an address is HOST:PORT, *:PORT, "
    "[V6%ZONE]:PORT, unix:PATH, unix:@NAME, fd:N, fd:NAME or systemd; see wsframe serve --help",
    "--bind 127.0.0.1:0 --bind unix:sibling.py": "cannot listen at sibling.py: Address already in use",
    "--bind systemd": "cannot listen at systemd: systemd passes no socket to this process (LISTEN_FDS, LISTEN_FDNAMES)",
    "--bind fd:999": "cannot listen at fd:999: this descriptor is not an inherited socket (Bad file descriptor)",
    "--unix x --unix-mode 888": "argument --unix-mode: '888' is not permissions in octal, such as 660; "
    "see wsframe serve --help",
    "--unix x --unix-owner no-such-user": "--unix-owner 'no-such-user': \"getpwnam(): name not found: 'no-such-user'\"",
    "--port 0 --unix-mode 660": "--unix-mode and --unix-owner need --unix PATH or --bind unix:PATH",
    "--unix nowhere/x": "cannot listen at nowhere/x: No such file or directory",
}


@pytest.mark.parametrize("options", MISTAKES)
def test_a_wrong_address_is_one_line_and_exit_code_2(
    in_folder: Path, capfd: pytest.CaptureFixture[str], options: str
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        sys.exit(cli.main(["serve", "hello_target", *options.split()]))
    output, errors = capfd.readouterr()
    line = errors.removeprefix("wsframe serve: ").removeprefix("wsframe: ")
    assert (output, line.replace('"', "")) == ("", MISTAKES[options].replace('"', "") + "\n")


def test_a_datagram_socket_is_one_line_and_exit_code_2(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert cli.main(["serve", "hello_target", "--fd", str(sock.fileno())]) == 2
        assert capsys.readouterr().err == (
            f"wsframe: --fd {sock.fileno()}: it is a socket of the kind SOCK_DGRAM, and a server needs SOCK_STREAM "
            "(systemd: ListenStream=)\n"
        )
