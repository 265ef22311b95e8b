"""A worker that outlives its supervisor: it ends by itself, also while its event loop stands still."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from threading import Event
from types import SimpleNamespace
from typing import cast

import pytest

from tests.patience import PATIENCE
from wsframe.server.service import orphan
from wsframe.server.service.orphan import OrphanGuard, end_worker
from wsframe.workers.control_socket import make_control_sockets
from wsframe.workers.worker import Worker


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drain be all the time there is."""
    monkeypatch.setattr(orphan, "GRACE", 0.0)
    monkeypatch.setattr(orphan, "TELL_WITHIN", PATIENCE, raising=False)


def test_a_worker_that_does_not_drain_ends_after_its_supervisor(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, link = make_control_sockets()
    ended = Event()
    with OrphanGuard(link, 0.05, ended.set):
        supervisor.send(b"an order, which is not the end")
        assert not ended.wait(0.2)
        supervisor.close()
        assert ended.wait(PATIENCE)  # in which the loop does not turn
    link.close()
    assert "has not drained in time: SIGKILL" in caplog.text


def test_a_log_that_nobody_reads_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, link = make_control_sockets()
    ended, read, full = Event(), Event(), Event()

    def block(message: str) -> None:
        full.set()
        read.wait(PATIENCE)

    monkeypatch.setattr(orphan, "TELL_WITHIN", 0.05, raising=False)
    monkeypatch.setattr(orphan.logger, "error", block)
    try:
        with OrphanGuard(link, 0, ended.set):
            supervisor.close()
            assert full.wait(PATIENCE)
            assert ended.wait(PATIENCE / 4)
    finally:
        read.set()
    link.close()


def test_a_worker_that_cannot_remove_the_directory_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: str, lock: int) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(orphan, "remove_if_last", refused)
    monkeypatch.setattr(os, "kill", lambda *order: killed.append(order))
    with suppress(OSError):
        end_worker(cast(Worker, SimpleNamespace(folder="", lock=-1)))
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_a_worker_that_drains_in_time_is_left_alone() -> None:
    supervisor, link = make_control_sockets()
    ended = Event()
    with OrphanGuard(link, PATIENCE, ended.set) as guard:
        supervisor.close()
    guard._thread.join(PATIENCE)
    assert not guard._thread.is_alive()
    assert not ended.is_set()
    link.close()


def test_a_worker_that_ends_before_its_supervisor_is_guarded_no_longer() -> None:
    supervisor, link = make_control_sockets()
    ended = Event()
    with OrphanGuard(link, 0, ended.set) as guard:
        pass
    guard._thread.join(PATIENCE)
    assert not guard._thread.is_alive()
    assert not ended.is_set()
    supervisor.close()
    link.close()
