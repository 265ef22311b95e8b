"""``wsframe top``: its table, and its end."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.cli.program import serving
from tests.patience import PATIENCE, watched
from wsframe import cli
from wsframe.cli.top import plain, rich_view, sections

RESOURCE = {
    "name": "Chat", "paths": ["/chat", "/rooms/{room}"], "clients": 2,
    "messages_received": 10, "messages_waiting": 1, "hook_seconds": 1.0,
}  # fmt: skip
CLIENT = {
    "host": "127.0.0.1", "port": 5000, "path": "/[red]\x1b[31m", "resource": "Chat",
    "messages_received": 1, "messages_waiting": 0, "bytes_sent": 5 * 1024**3, "bytes_waiting": 2048,
    "messages_dropped": 3, "latency": 0.0015,
}  # fmt: skip
BEFORE: dict[str, Any] = {
    "time": 100.0, "addresses": ["ws://127.0.0.1:8000"], "clients": 2, "reserved": 2, "pending_handshakes": 0,
    "admitted": 5, "refused": 1, "resources": 1, "messages_received": 10, "messages_sent": 40, "bytes_sent": 2000,
    "bytes_received": 4096,
    "bytes_waiting": 512, "messages_dropped": 3, "by_resource": [RESOURCE], "slowest": [],
}  # fmt: skip
NOW = BEFORE | {
    "time": 102.0, "messages_received": 30, "messages_sent": 100, "bytes_sent": 1000, "bytes_received": 8192,
    "by_resource": [RESOURCE | {"messages_received": 30, "hook_seconds": 1.5}],
    "slowest": [CLIENT, CLIENT | {"host": "", "port": 0, "path": "/", "latency": None}],
}  # fmt: skip

FIRST = """\
ws://127.0.0.1:8000
  clients  handshakes  admitted  refused  messages in/s  messages out/s  in/s  out/s  waiting  dropped
        2           0         5        1              -               -     -      -    512 B        3

Resources
  resource  paths                clients  messages in/s  waiting  hooks busy  for a message
  Chat      /chat /rooms/{room}        2              -        1           -              -

Clients that read too slowly
  slowest clients  path  waiting  sent  dropped  latency
"""

SECOND = """\
ws://127.0.0.1:8000
  clients  handshakes  admitted  refused  messages in/s  messages out/s     in/s  out/s  waiting  dropped
        2           0         5        1             10              30  2.0 KiB    0 B    512 B        3

Resources
  resource  paths                clients  messages in/s  waiting  hooks busy  for a message
  Chat      /chat /rooms/{room}        2             10        1       25.0%      25.000 ms

Clients that read too slowly
  slowest clients  path         waiting     sent  dropped  latency
  127.0.0.1:5000   /[red]\N{REPLACEMENT CHARACTER}[31m  2.0 KiB  5.0 GiB        3   1.5 ms
  unix peer        /            2.0 KiB  5.0 GiB        3        -
"""


def test_the_first_view_has_no_rates() -> None:
    assert plain(sections(BEFORE, None)) == FIRST.rstrip("\n")


NODE = {
    "service": "one:1", "address": "ws://one", "processes": 1, "clients": 2, "pending_handshakes": 0,
    "messages_received": 10, "messages_sent": 40, "bytes_waiting": 512, "carried_here": 1, "carried_away": 0,
}  # fmt: skip
NODES = """\
Servers of the service
  server  address   processes  clients  handshakes  messages in/s  messages out/s  waiting  from others  to others
  one:1   ws://one          1        2           0              5               0    512 B          50%         0%
  new     ws://one          1        0           0              -               -    512 B            -          -
  t\ufffd[31m  ws://one          2        2           0              0               0    512 B           0%        60%
"""


def test_servers_that_share_a_backplane_have_a_row_each_and_this_one_is_the_first() -> None:
    two = NODE | {"service": "t\x1b[31m", "processes": 2, "carried_here": 0, "carried_away": 3}
    new = NODE | {"service": "new", "clients": 0, "carried_here": 0}
    before = BEFORE | {"nodes": [NODE, two]}
    now = NOW | {"nodes": [NODE | {"messages_received": 20}, two, new]}
    shown = plain(sections(now, before))
    assert NODES in shown
    assert "Servers" not in plain(sections(NOW | {"nodes": [NODE]}, before))


def test_rates_are_those_since_the_view_before_and_nothing_a_stranger_sent_reaches_the_terminal() -> None:
    assert plain(sections(NOW, BEFORE)) == SECOND.rstrip("\n")


def test_a_resource_that_has_just_come_up_has_no_rates() -> None:
    rows = sections(NOW, BEFORE | {"by_resource": []})[1].rows
    assert rows[0][3:] == ("-", "1", "-", "-")


def test_resources_that_cannot_be_told_apart_have_no_rates() -> None:
    shards = [RESOURCE | {"paths": [], "messages_received": count} for count in (10, 500)]
    rows = sections(NOW | {"by_resource": shards}, BEFORE | {"by_resource": shards})[1].rows
    assert [row[3:] for row in rows] == [("-", "1", "-", "-")] * 2
    assert sections(NOW | {"by_resource": shards}, BEFORE | {"by_resource": shards[:1]})[1].rows[1][3] == "-"


def test_a_resource_without_messages_has_no_time_for_one() -> None:
    assert sections(NOW | {"by_resource": [RESOURCE]}, BEFORE)[1].rows[0][5:] == ("0.0%", "-")


def test_the_view_of_a_terminal_has_the_same_cells_and_takes_no_path_for_markup() -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(rich_view(sections(NOW, BEFORE)))
    shown = capture.get()
    for word in ("ws://127.0.0.1:8000", "Resources", "/rooms/{room}", "25.000 ms", "/[red]", "unix peer"):
        assert word in shown


def test_a_running_server_is_shown_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(folder / "admin")
    with serving(folder, "hello_target", "--port", "0", "--admin", "admin") as program:
        with program.open("/hello") as client:
            assert client.recv(timeout=PATIENCE) == "hello"
            assert cli.main(["top", path, "--once"]) == 0
            shown = capsys.readouterr().out
            assert program.address in shown
            assert "/hello /clinging" in shown
            assert cli.main(["top", path, "--once", "--json"]) == 0
            (line,) = capsys.readouterr().out.splitlines()
            assert (json.loads(line)["clients"], json.loads(line)["admitted"]) == (1, 1)
        program.end(signal.SIGTERM)
        assert not os.path.exists(path)


def test_json_goes_on_until_the_server_ends(folder: Path) -> None:
    with serving(folder, "hello_target", "--port", "0", "--admin", "admin") as program:
        command = [sys.executable, "-m", "wsframe", "top", "admin", "--json", "--interval", "0.1"]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None
            times = [json.loads(watching.stdout.readline())["time"] for _ in range(3)]
            assert times == sorted(set(times))
            program.end(signal.SIGTERM)
            _, errors = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, errors) == (1, "wsframe: the server has ended\n")


def test_the_live_view_is_refreshed_and_ends_with_ctrl_c(folder: Path) -> None:
    with serving(folder, "hello_target", "--port", "0", "--admin", "admin") as program:
        controller, terminal = pty.openpty()
        command = [sys.executable, "-m", "wsframe", "top", "admin", "--interval", "0.1"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        with subprocess.Popen(command, cwd=folder, stdout=terminal, env=environment) as watching, watched(watching):
            os.close(terminal)
            shown = b""
            while shown.count(program.address.encode()) < 2:
                shown += os.read(controller, 4096)
            watching.send_signal(signal.SIGINT)
            with suppress(OSError):  # how a terminal ends
                while os.read(controller, 4096):
                    pass
            assert watching.wait(PATIENCE) == 0
        os.close(controller)


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """Run something that is no admin socket; it answers once, or ends where there is nothing to answer."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer_once() -> None:
            sock, _ = listening.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        (b"", 1, "the server has ended"),
        (
            b"HTTP/1.1 400 Bad Request\n",
            2,
            "the socket is not an admin socket of wsframe: give the PATH of serve --admin",
        ),
        (b'{"error": "?"}\n', 2, "the socket is not an admin socket of wsframe: give the PATH of serve --admin"),
        (b"[]\n", 2, "the socket is not an admin socket of wsframe: give the PATH of serve --admin"),
    ],
)
def test_what_is_no_server_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes, code: int, line: str
) -> None:
    with answering(tmp_path / "admin", answer):
        assert cli.main(["top", str(tmp_path / "admin"), "--once"]) == code
    assert capsys.readouterr() == ("", f"wsframe: {line}\n")


def test_a_server_that_hangs_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.cli.top.PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "admin"))
        listening.listen()
        assert cli.main(["top", str(tmp_path / "admin"), "--once"]) == 1
    assert capsys.readouterr().err == "wsframe: the server has not answered for 0.05 s\n"


MISTAKES = {
    "top": "the following arguments are required: PATH; see wsframe top --help",
    "top nowhere --once": "no server answers at nowhere: No such file or directory",
    "top nowhere --once --interval 0": "--interval must be at least 0.1 s, not 0",
    "top nowhere": "the live view needs a terminal: use --once or --json",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(in_folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        raise SystemExit(cli.main(command.split()))
    errors = capsys.readouterr().err
    assert errors.removeprefix("wsframe top: ").removeprefix("wsframe: ") == MISTAKES[command] + "\n"


def test_the_live_view_needs_rich(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.live", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with serving(folder, "hello_target", "--port", "0", "--admin", "admin"):
        assert cli.main(["top", str(folder / "admin")]) == 2
    assert capsys.readouterr().err == (
        "wsframe: the live view of wsframe top (not --once) needs the extra 'cli': pip install 'wsframe[cli]'\n"
    )


def test_each_worker_of_a_service_has_a_row() -> None:
    numbers = {"clients": 2, "pending_handshakes": 1, "messages_received": 10, "messages_sent": 4, "bytes_waiting": 512}
    workers = [
        {"slot": 0, "pid": 7, "state": "ready", "statistics": numbers},
        {"slot": 1, "pid": 8, "state": "silent", "statistics": None},
        {"slot": 2, "pid": 0, "state": "down", "statistics": None},
    ]
    later = [workers[0] | {"statistics": numbers | {"messages_received": 30}}, *workers[1:]]
    server, found, *_ = sections(NOW | {"workers": later}, BEFORE | {"workers": workers})
    assert (server.title, found.title) == ("ws://127.0.0.1:8000", "Workers")
    assert found.rows == [
        ("0", "7", "ready", "2", "1", "10", "0", "512 B"),
        ("1", "8", "silent", "-", "-", "-", "-", "-"),
        ("2", "-", "down", "-", "-", "-", "-", "-"),
    ]
