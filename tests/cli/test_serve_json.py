"""``wsframe serve --log-format json``: every line on stderr is one JSON object, from the first to the last."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.patience import PATIENCE, watched
from tests.requirements import require_package

TARGET = """
import logging
import sys
import warnings
import wsframe


class Echo(wsframe.Resource):
    async def received_text(self, client, message):
        if message == "fail":
            raise ValueError(f"cannot take {message}\\n\\x1b[2J")
        if message == "exit":
            sys.exit("last words")
        if message == "warn":
            warnings.warn("deprecated")
        if message == "print":
            print("printed", file=sys.stderr)
        client.send_text(message)


logging.getLogger("mine").info("imported", extra={"number": 5})
wsframe.register_global_resource("/", Echo())
"""


def objects(text: str) -> list[dict[str, Any]]:
    """Read the lines of stderr."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
    return lines


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "wsframe", "serve", *arguments]


@contextmanager
def serving(folder: Path, *arguments: str, target: str = TARGET) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yield it with its address."""
    (folder / "json_target.py").write_text(target)
    line = command("json_target.py", "--port", "0", "--log-format", "json", *arguments)
    with (
        subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        watched(process),
    ):
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[2]


def ended(process: subprocess.Popen[str], status: int = 0) -> list[dict[str, Any]]:
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, told
    return objects(told)


def test_the_end_of_a_connection_has_its_figures_and_a_failed_hook_its_traceback(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, address):
        with connect(address, proxy=None, open_timeout=PATIENCE) as client:
            for message in ("hello", "warn", "print"):
                client.send(message)
                assert client.recv(timeout=PATIENCE) == message
            peer = "{}:{}".format(*client.local_address)
        with connect(address, proxy=None, open_timeout=PATIENCE) as client:
            client.send("fail")
            with pytest.raises(ConnectionClosedError):
                client.recv(timeout=PATIENCE)
        process.send_signal(signal.SIGTERM)
        lines = ended(process)
    end = next(line for line in lines if line.get("peer") == peer)
    assert (end["level"], end["logger"]) == ("INFO", "wsframe.connection")
    assert {name: end[name] for name in ("path", "code", "reason", "messages_in", "messages_out", "queue_peak")} == {
        "path": "/", "code": 1000, "reason": "", "messages_in": 3, "messages_out": 3, "queue_peak": 0,
    }  # fmt: skip
    assert {type(end[name]) for name in ("bytes_in", "bytes_out", "messages_in", "messages_out")} == {int}
    assert end["seconds"] > 0
    (failed,) = [line for line in lines if "traceback" in line]
    assert (failed["level"], failed["logger"]) == ("ERROR", "wsframe.resources")
    assert failed["traceback"].endswith("ValueError: cannot take fail\n    \\x1b[2J")
    assert [line["number"] for line in lines if line["logger"] == "mine"] == [5]
    assert [line["message"] for line in lines if line["logger"] == "py.warnings"] == ["UserWarning: deprecated"]
    assert [line["message"] for line in lines if line["logger"] == "stderr"] == ["printed"]


def test_words_of_an_exit_are_a_line(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, address):
        with connect(address, proxy=None, open_timeout=PATIENCE) as client:
            client.send("exit")
            assert list(client) == []
        assert ended(process, 1)[-1]["message"] == "last words"


def test_the_level_holds_in_both_formats(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-level", "error") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert ended(process) == []


MISTAKES = {
    "unknown option": (["json_target.py", "--colour"], 2, "unrecognized arguments: --colour"),
    "bad value": (["json_target.py", "--port", "x"], 2, "'x' is not a port"),
    "broken target": (["broken.py"], 2, "cannot import broken.py: ZeroDivisionError"),
    "syntax warning": (["warning.py"], 2, "registers no resource"),
    "contradiction": (["json_target.py", "--reload-dir", "."], 2, "--reload-dir needs --reload"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_object(tmp_path: Path, name: str) -> None:
    (tmp_path / "json_target.py").write_text(TARGET)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "warning.py").write_text("1 is 1\n")
    arguments, status, message = MISTAKES[name]
    done = subprocess.run(
        command("--log-format=json", *arguments),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == status
    lines = objects(done.stderr)
    assert message in lines[-1]["message"]
    assert (lines[-1]["level"], lines[-1]["logger"]) == ("ERROR", "wsframe.cli")


@pytest.mark.parametrize("form", [("--log-f", "json"), ("--log-form=json",), ("--log-format", "json")])
def test_a_mistake_is_an_object_however_the_option_is_written(tmp_path: Path, form: tuple[str, ...]) -> None:
    line = command("nothing.py", "--colour", *form)
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    (told,) = objects(done.stderr)
    assert "--colour" in told["message"]


def test_logging_that_the_target_configures_keeps_its_levels(tmp_path: Path) -> None:
    """Django's settings do that."""
    configured = "logging.config.dictConfig({'version': 1, 'handlers': {'c': {'class': 'logging.StreamHandler'}}, "
    configured += "'root': {'level': 'INFO', 'handlers': ['c']}, 'disable_existing_loggers': False})"
    with serving(tmp_path, target=f"import logging.config\n{configured}\n{TARGET}") as (process, _):
        process.send_signal(signal.SIGTERM)
        lines = ended(process)
    assert [line["level"] for line in lines if line["message"].startswith("serving at")] == ["INFO"]


def test_a_port_in_use_is_one_object(tmp_path: Path) -> None:
    (tmp_path / "json_target.py").write_text(TARGET)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = command("json_target.py", "--log-format", "json", "--port", str(taken.getsockname()[1]))
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    (told,) = objects(done.stderr)
    assert "in use" in told["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="--reload is not for Windows")
def test_the_supervisor_of_a_reload_writes_objects_too(tmp_path: Path) -> None:
    require_package("watchfiles")
    with serving(tmp_path, "--reload") as (process, _):
        assert process.stderr is not None
        stderr, lines, changed = process.stderr, list[str](), threading.Event()

        def read() -> None:
            for line in stderr:
                lines.append(line)
                if "restarting" in line:
                    changed.set()
                elif changed.is_set() and "serving at" in line:
                    process.send_signal(signal.SIGTERM)

        reader = threading.Thread(target=read)
        reader.start()
        while not changed.is_set() and process.poll() is None:
            (tmp_path / "json_target.py").write_text(f"{TARGET}\n# {time.monotonic()}\n")
            changed.wait(1)  # the watcher may not have watched yet
        reader.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
    told = [line for line in objects("".join(lines)) if "restarting" in line["message"]]
    assert (told[0]["message"], told[0]["level"]) == ("json_target.py changed; restarting", "INFO")
    assert told[0]["logger"] == "wsframe.cli"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are for Linux")
def test_the_relay_of_workers_writes_objects_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory(prefix="wf") as runtime:  # a short path: it has unix sockets
        monkeypatch.setenv("RUNTIME_DIRECTORY", runtime)
        with serving(tmp_path, "--workers", "1") as (process, _):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.settimeout(PATIENCE)
                rude.connect(f"{runtime}/wsframe/relay")
                rude.sendall(bytes(100))
                while rude.recv(100):  # until it has been closed, with a line
                    pass
            assert process.stderr is not None
            first: list[str] = []
            while not first or "a worker's stream is closed" not in first[-1]:
                first.append(process.stderr.readline())
                assert first[-1]
            process.send_signal(signal.SIGTERM)
            lines = objects("".join(first)) + ended(process)
    assert [line["logger"] for line in lines if line.get("relay")] == ["wsframe.backplane"]
