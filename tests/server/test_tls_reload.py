"""When certificates are read again: once their files have come to rest, and at SIGHUP."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import MockClock

from tests.certificates import Handshake, trusting, write_certificate
from tests.patience import PATIENCE
from wsframe.server.notify import Notifier
from wsframe.server.tls import ServerTLS
from wsframe.server.tls_reload import hearing_sighup, reload_at_sighup, watch_files

LONG_ENOUGH = 30.0


class Watched:
    """A server's certificate in a folder, watched."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.tls = ServerTLS([write_certificate(self.authority, folder, "a", "a.example", "1.example")])

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_files, self.tls)
            await trio.sleep(1)
            yield
            nursery.cancel_scope.cancel()

    def shown(self) -> str:
        return Handshake(self.tls.context_for, trusting(self.authority), "a.example").names[1]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


async def test_changed_files_are_read_again(
    watched: Watched, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with watched.watch():
        await trio.sleep(LONG_ENOUGH)
        assert lines(caplog) == []
        write_certificate(watched.authority, watched.folder, "a", "a.example", "2.example")
        await trio.sleep(LONG_ENOUGH)
        assert watched.shown() == "2.example"
        ((level, line),) = lines(caplog)
        assert level == "INFO"
        assert line.startswith("certificates reloaded: ")


def renewed(watched: Watched) -> Path:
    """Return a folder with the renewed key and certificate, which can be moved to their place one by one."""
    other = watched.folder / "other"
    other.mkdir()
    write_certificate(watched.authority, other, "a", "a.example", "2.example")
    return other


async def test_a_key_and_a_certificate_replaced_one_after_the_other_are_read_together(
    watched: Watched, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """As renewals do it; a look in between would find a key that does not fit."""
    other = renewed(watched)
    async with watched.watch():
        os.replace(other / "a.key", watched.folder / "a.key")
        await trio.sleep(4.5)  # the watcher has looked
        os.replace(other / "a.pem", watched.folder / "a.pem")
        await trio.sleep(LONG_ENOUGH)
    assert watched.shown() == "2.example"
    assert [level for level, _ in lines(caplog)] in ([], ["INFO"]), "and no error"


async def test_a_renewal_that_stops_halfway_is_one_error_and_its_rest_is_read(
    watched: Watched, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    other = renewed(watched)
    async with watched.watch():
        os.replace(other / "a.key", watched.folder / "a.key")
        await trio.sleep(10 * LONG_ENOUGH)
        ((level, line),) = lines(caplog)
        assert (level, watched.shown()) == ("ERROR", "1.example")
        assert "the key does not belong to the certificate" in line
        os.replace(other / "a.pem", watched.folder / "a.pem")
        await trio.sleep(LONG_ENOUGH)
        assert watched.shown() == "2.example"


@pytest.mark.skipif(sys.platform == "win32", reason="links need privileges there")
async def test_a_link_that_leads_elsewhere_is_noticed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As Kubernetes replaces secrets (``..data``) and certbot certificates: no file itself changes."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
    watched = Watched(tmp_path / "1")
    write_certificate(watched.authority, tmp_path / "2", "a", "a.example", "2.example")
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "a.pem").symlink_to("..data/a.pem")
    (tmp_path / "a.key").symlink_to("..data/a.key")
    (certificate,) = [
        type(one)(certfile=tmp_path / "a.pem", keyfile=tmp_path / "a.key") for one in watched.tls._certificates
    ]
    watched.tls = ServerTLS([certificate])
    async with watched.watch():
        (tmp_path / "new").symlink_to("2")
        os.replace(tmp_path / "new", tmp_path / "..data")
        await trio.sleep(LONG_ENOUGH)
        assert watched.shown() == "2.example"


async def test_files_that_change_all_the_time_are_read_all_the_same(
    watched: Watched, autojump_clock: MockClock
) -> None:
    write_certificate(watched.authority, watched.folder, "a", "a.example", "2.example")
    async with watched.watch():
        for number in range(40):
            os.utime(watched.folder / "a.key", (number, number))
            await trio.sleep(0.5)
        assert watched.shown() == "2.example"


async def test_a_certificate_that_expires_while_it_is_served_is_one_warning(
    watched: Watched, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Late:
            return cls(9999, 12, 31, tzinfo=tz)

    async with watched.watch():
        await trio.sleep(LONG_ENOUGH)
        assert lines(caplog) == []
        monkeypatch.setattr("wsframe.server.tls.datetime", Late)
        await trio.sleep(LONG_ENOUGH)
        ((level, line),) = lines(caplog)
        assert level == "WARNING"
        assert "has expired on " in line
        caplog.clear()
        assert watched.tls.reload()
        assert [level for level, _ in lines(caplog)] == ["WARNING"], "it is the same one"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
async def test_sighup_reloads_and_has_its_former_action_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGHUP)
    reloaded = trio.Event()
    async with trio.open_nursery() as nursery:
        with hearing_sighup(True) as signals:
            nursery.start_soon(reload_at_sighup, signals, reloaded.set, Notifier(""))
            signal.raise_signal(signal.SIGHUP)
            with trio.fail_after(PATIENCE):
                await reloaded.wait()
            nursery.cancel_scope.cancel()
    assert signal.getsignal(signal.SIGHUP) == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_without_certificates_sighup_keeps_its_action() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with hearing_sighup(False) as signals:
        assert signal.getsignal(signal.SIGHUP) == before
    assert signals is None
