"""The relay beside the workers: it is started, looked at, replaced, and gone at the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from tests.patience import PATIENCE
from tests.workers.stand_ins import Process, equipped
from wsframe.backplane import relay_process
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.testing.backplanes import Node
from wsframe.workers import relay_keeper
from wsframe.workers.relay_keeper import RelayKeeper
from wsframe.workers.slots import LOOK, STEADY


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds in another process."""
    while not holds():  # noqa: ASYNC110
        await trio.sleep(0.02)


def lives(pid: int) -> bool:
    """Return whether a process is there, if only as a zombie."""
    return os.path.exists(f"/proc/{pid}")


async def test_a_killed_relay_has_a_successor_and_the_workers_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        keeper = RelayKeeper(made)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            node = Node("one", RelayBackplane(made.runtime.path("relay")))
            await nursery.start(node.backplane.run, "one", node.told)
            await eventually(lambda: made.board.relay_beats)
            first = keeper.pid
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: keeper.pid not in (0, first))
            await eventually(lambda: made.board.relay_beats)
            await eventually(lambda: None in node.told.gaps)
            second = keeper.pid
            nursery.cancel_scope.cancel()
        assert keeper.pid == 0
        assert not lives(second)
        assert made.board.relay_beats == 0
    assert "the relay ended with status -9; another one starts now" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_to_all_processes_of_a_service_leaves_the_workers_their_relay(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As service managers send them; the workers drain, and need it to their end."""
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        keeper = RelayKeeper(made)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            nodes = [Node(name, RelayBackplane(made.runtime.path("relay"))) for name in "ab"]
            for node in nodes:
                await nursery.start(node.backplane.run, node.name, node.told)
            await nodes[1].want("t")
            first = keeper.pid
            os.kill(first, number)
            nodes[0].backplane.publish("t", b"x")
            await nodes[1].told.until(lambda: nodes[1].told.payloads("t") == [b"x"])
            before = made.board.relay_beats
            await eventually(lambda: made.board.relay_beats > before)
            assert (keeper.pid, nodes[1].told.gaps) == (first, [])
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("as_json", [True, False])
async def test_lines_of_the_relay_are_objects_where_those_of_the_service_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        keeper = RelayKeeper(made, json=as_json)
        told = ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            async with await trio.open_unix_socket(made.runtime.path("relay")) as rude:
                await rude.send_all(bytes(100))
                while await rude.receive_some():  # until it has been closed, with a line
                    pass
            while not told.endswith("\n"):
                await trio.sleep(0.02)
                told += capfd.readouterr().err
            nursery.cancel_scope.cancel()
    if as_json:
        (line,) = map(json.loads, told.splitlines())
        assert (line["level"], line["logger"], line["relay"]) == ("ERROR", "wsframe.backplane", True)
        assert line["message"].startswith("a worker's stream is closed: MalformedFrame(")
    else:
        assert "ERROR relay: a worker's stream is closed: MalformedFrame(" in told


async def test_a_relay_whose_socket_has_been_removed_has_a_successor_at_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as by a program that removes old files."""
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        keeper = RelayKeeper(made)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            await eventually(lambda: made.board.relay_beats)
            keeper.look()
            shutil.rmtree(made.runtime.folder)
            keeper.look()
            keeper.look()
            node = Node("one", RelayBackplane(made.runtime.path("relay")))
            await nursery.start(node.backplane.run, "one", node.told)
            nursery.cancel_scope.cancel()
    assert caplog.text.count("has been removed, and is made again for the relay") == 1


async def test_a_socket_that_cannot_be_made_again_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with equipped(tmp_path, 1) as made:
        os.unlink(made.runtime.path("relay"))
        made.runtime.folder = str(tmp_path / "missing" / "run")
        keeper = RelayKeeper(made)
        keeper.look()
        keeper.look()
    assert caplog.text.count("cannot be made again: [Errno 2]") == 1


async def test_a_relay_that_stands_still_is_killed_after_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wsframe.workers.relay_keeper.COMMAND", ["-c", "import time; time.sleep(600)"])
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        keeper = RelayKeeper(made, 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            await eventually(lambda: keeper.pid)
            first = keeper.pid
            for _ in range(100):  # it can import for long
                keeper.look()
            assert caplog.text == ""
            os.pwrite(made.board.fd, b"\x01", made.board.relay_offset)
            for _ in range(12):
                keeper.look()
            await eventually(lambda: keeper.pid not in (0, first))
            nursery.cancel_scope.cancel()
    assert f"the relay (process {first}) has stood still for 5 s: SIGKILL" in caplog.text


async def test_an_engine_that_refuses_the_first_relay_is_told_and_a_later_one_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert (relay_keeper.ENGINE, relay_keeper.REFUSED) == (relay_process.ENGINE, relay_process.REFUSED)
    words = "import os, socket, sys; socket.socket(fileno=int(sys.argv[2])).sendall(os.environ['WSFRAME_RELAY_ENGINE']"
    monkeypatch.setattr(relay_keeper, "COMMAND", ["-c", f"{words}.encode()); sys.exit(3)"])
    reasons: list[str] = []
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        await RelayKeeper(made, engine="the reason").run(reasons.append)
        assert reasons == ["the reason"]
        monkeypatch.setattr(relay_keeper, "COMMAND", ["-c", "import sys; sys.exit(3)"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(RelayKeeper(made).run, reasons.append)
            await eventually(lambda: "the relay ended with status 3" in caplog.text)
            nursery.cancel_scope.cancel()
    assert reasons == ["the reason"]


class Starts:
    """In the place of the start of a relay: the first one succeeds, and then none."""

    def __init__(self, error: Exception) -> None:
        self.process = Process()
        self.at: list[float] = []
        self._error = error

    async def __call__(self, life: socket.socket) -> trio.Process:
        assert len(self.at) < 100
        self.at.append(trio.current_time())
        if len(self.at) > 1:
            raise self._error
        return cast(trio.Process, self.process)


@pytest.mark.parametrize("error", [OSError(errno.EAGAIN, "no processes left"), RuntimeError("can't start new thread")])
async def test_a_relay_that_cannot_start_after_a_long_life_is_tried_ever_later(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    with equipped(tmp_path, 1) as made:
        keeper, starts = RelayKeeper(made), Starts(error)
        monkeypatch.setattr(keeper, "_start", starts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            await trio.testing.wait_all_tasks_blocked()
            os.pwrite(made.board.fd, b"\x01", made.board.relay_offset)
            for _ in range(int(STEADY / LOOK) + 1):
                keeper.look()
            starts.process.end(-9)
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
        assert 4 <= len(starts.at) <= 10
    assert f"the relay cannot start: {getattr(error, 'strerror', None) or error}; another one starts in" in caplog.text


async def test_a_relay_without_descriptors_for_its_life_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with equipped(tmp_path, 1) as made:
        keeper, starts = RelayKeeper(made), Starts(OSError())
        monkeypatch.setattr(keeper, "_start", starts)
        pair, errors = socket.socketpair, [OSError(errno.EMFILE, "Too many open files") for _ in range(3)]

        def socketpair() -> tuple[socket.socket, socket.socket]:
            if errors:
                raise errors.pop()
            return pair()

        monkeypatch.setattr("wsframe.workers.relay_keeper.socket.socketpair", socketpair)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            await trio.sleep(20)
            assert keeper.pid == starts.process.pid
            nursery.cancel_scope.cancel()
    assert caplog.text.count("the relay cannot start: Too many open files") == 3
