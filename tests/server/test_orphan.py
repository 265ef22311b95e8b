"""A worker that outlives its supervisor: it ends by itself, also while its event loop stands still."""

from __future__ import annotations

from threading import Event

import pytest

from wsframe.server import orphan
from wsframe.server.orphan import OrphanGuard
from wsframe.workers.link import make_wire

PATIENCE = 60


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drain be all the time there is."""
    monkeypatch.setattr(orphan, "GRACE", 0.0)


def test_a_worker_that_does_not_drain_ends_after_its_supervisor(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, link = make_wire()
    ended = Event()
    with OrphanGuard(link, 0.05, ended.set):
        supervisor.send(b"an order, which is not the end")
        assert not ended.wait(0.2)
        supervisor.close()
        assert ended.wait(PATIENCE)  # in which the loop does not turn
    link.close()
    assert "has not drained in time: SIGKILL" in caplog.text


def test_a_worker_that_drains_in_time_is_left_alone() -> None:
    supervisor, link = make_wire()
    ended = Event()
    with OrphanGuard(link, PATIENCE, ended.set) as guard:
        supervisor.close()
    guard._thread.join(PATIENCE)
    assert not guard._thread.is_alive()
    assert not ended.is_set()
    link.close()


def test_a_worker_that_ends_before_its_supervisor_is_guarded_no_longer() -> None:
    supervisor, link = make_wire()
    ended = Event()
    with OrphanGuard(link, 0, ended.set) as guard:
        pass
    guard._thread.join(PATIENCE)
    assert not guard._thread.is_alive()
    assert not ended.is_set()
    supervisor.close()
    link.close()
