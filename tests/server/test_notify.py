"""The messages to a service manager: which, in which order, and that none of them can harm the server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.patience import PATIENCE
from tests.requirements import require
from wsframe.server.notify import Notifier, main_pid, notifying, watchdog_interval
from wsframe.server.run import serve_until_signal

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
BOUND = PATIENCE


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager's socket; the environment names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(BOUND)
        sock.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        yield sock


def messages(manager: socket.socket) -> list[str]:
    """Return all that has come."""
    found = []
    manager.setblocking(False)
    try:
        while True:
            found.append(manager.recv(4096).decode())
    except BlockingIOError:
        return found
    finally:
        manager.settimeout(BOUND)


async def test_a_server_is_ready_once_it_serves_and_stops_when_it_drains(manager: socket.socket) -> None:
    seen: list[list[str]] = []

    def started(server: wsframe.Server) -> None:
        seen.append(messages(manager))
        server.close()

    with trio.fail_after(BOUND):
        await serve_until_signal(wsframe.Registry(alone=True), wsframe.ServeOptions(port=0), started)
    assert seen == [[]], "it is not ready while it starts"
    ready, stopping = messages(manager)
    assert ready.split("\n")[:2] == ["READY=1", f"MAINPID={os.getpid()}"]
    assert ready.split("\n")[2].startswith("STATUS=serving at ws://127.0.0.1:")
    assert stopping == "STOPPING=1\nSTATUS=stopping"


async def test_a_library_sends_nothing_in_the_name_of_its_program(manager: socket.socket) -> None:
    async with wsframe.open_server(wsframe.Registry(alone=True), port=0):
        pass
    assert messages(manager) == []


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
async def test_an_abstract_socket_is_reached() -> None:
    name = f"wsframe-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        notifier = Notifier(f"@{name}")
        await notifier.say("READY=1", "STATUS=a")
        notifier.close()
        assert messages(manager) == ["READY=1\nSTATUS=a"]


async def test_reloading_ends_with_ready_also_after_a_failure(manager: socket.socket) -> None:
    notifier = Notifier(os.environ["NOTIFY_SOCKET"])
    with pytest.raises(LookupError):
        async with notifier.reloading():
            raise LookupError
    notifier.close()
    reloading, ready = messages(manager)
    first, second = reloading.split("\n")
    assert (first, ready) == ("RELOADING=1", "READY=1")
    assert second.startswith("MONOTONIC_USEC=")
    assert int(second.partition("=")[2]) > 0


async def test_the_watchdog_hears_twice_in_its_time(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    async with notifying(trio.sleep_forever, "well"):
        for _ in range(3):
            await wait_all_tasks_blocked()
            assert messages(manager).count("WATCHDOG=1") == 1
            mock_clock.jump(5)
    messages(manager)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "1e6"}, None),
        ({"WATCHDOG_USEC": "\u0661"}, None),
    ],
)
def test_the_interval_is_half_of_the_watchdogs_time(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(environment) == seconds


def test_of_a_supervised_server_the_supervisor_is_the_main_process() -> None:
    token = main_pid.set(4711)
    try:
        assert watchdog_interval({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "4711"}) == 1
    finally:
        main_pid.reset(token)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/nowhere/at/all", "No such file or directory"),
        ("vsock:2:1234", "only paths and abstract names"),
        ("relative", "only paths and abstract names"),
        ("@nobody-is-there-at-all", "Connection refused"),
        ("/" + "x" * 200, "too long"),
    ],
)
async def test_a_manager_that_cannot_be_reached_is_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with trio.fail_after(BOUND):
        await serve_until_signal(
            wsframe.Registry(alone=True), wsframe.ServeOptions(port=0), lambda server: server.close()
        )
    (line,) = [record.getMessage() for record in caplog.records if "NOTIFY_SOCKET" in record.getMessage()]
    assert line.startswith("cannot notify the service manager at NOTIFY_SOCKET=")
    assert words in line


async def test_a_manager_that_does_not_read_holds_nothing_up_for_long(
    manager: socket.socket, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    notifier = Notifier(os.environ["NOTIFY_SOCKET"])
    with trio.fail_after(100_000):
        while "does not read" not in caplog.text:
            await notifier.say("WATCHDOG=1")
    messages(manager)
    await notifier.say("READY=1")
    assert messages(manager) == ["READY=1"], "and later messages arrive"
    notifier.close()


async def test_a_manager_that_goes_away_is_a_line(manager: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(os.environ["NOTIFY_SOCKET"])
    manager.close()
    await notifier.say("WATCHDOG=1")
    notifier.close()
    assert "Connection refused" in caplog.text


def test_our_messages_are_those_of_systemds_own_program(manager: socket.socket) -> None:
    subprocess.run(
        [require("systemd-notify"), "--no-block", "--ready", f"--pid={os.getpid()}", "--status=fine"], check=True
    )
    theirs = set(manager.recv(4096).decode().split("\n"))

    async def say() -> None:
        notifier = Notifier(os.environ["NOTIFY_SOCKET"])
        await notifier.ready("STATUS=fine")
        notifier.close()

    trio.run(say)
    assert theirs >= set(manager.recv(4096).decode().split("\n"))
