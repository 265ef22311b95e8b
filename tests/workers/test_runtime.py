"""The runtime directory: its owner, services that wait for it, and its removal."""

from __future__ import annotations

import errno
import os
import signal
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from tests.descriptors import none_stays_open
from wsframe.workers import runtime
from wsframe.workers.runtime import (
    SUPERVISOR,
    WORKERS,
    Runtime,
    is_supervisor,
    remove_if_last,
    runtime_folder,
    runtime_of,
)
from wsframe.workers.slots import reason_of
from wsframe.workers.worker import inquiries_at


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse at once where another supervisor has the lock."""
    monkeypatch.setattr(runtime, "SURELY", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Give the path of a directory that does not exist."""
    return str(tmp_path / "service")


def killed(folder: str) -> int:
    """Leave the files of a killed supervisor; return the lock that its worker has inherited."""
    with runtime_of(folder) as mine:
        lock = os.dup(mine.lock)
        kept = Path(folder).rename(f"{folder}-kept")
    kept.rename(folder)
    Path(folder, "relay").touch()
    return lock


def test_a_runtime_directory_is_private_and_gone_at_the_end(folder: str) -> None:
    with runtime_of(folder) as mine:
        assert os.stat(folder).st_mode & 0o777 == 0o700
        Path(mine.path("relay")).touch()
    assert not os.path.exists(folder)


def test_a_second_supervisor_is_refused_with_the_process_of_the_first(folder: str) -> None:
    with runtime_of(folder), pytest.raises(OSError, match=f"its supervisor is {os.getpid()}"), runtime_of(folder):
        pytest.fail("it has it")
    assert not os.path.exists(folder)


def test_a_path_that_leaves_no_room_for_the_names_of_later_generations_is_refused_with_the_way_out() -> None:
    with (
        TemporaryDirectory(dir="/tmp") as base,
        pytest.raises(OSError, match=r"has a path of 90 bytes.*at most 89: set XDG_RUNTIME_DIR"),
        runtime_of(os.path.join(base, "x" * (89 - len(base)))),
    ):
        pytest.fail("it has it")
    with TemporaryDirectory(dir="/tmp") as base, runtime_of(os.path.join(base, "x" * (88 - len(base)))) as mine:
        for generation in (0, 999_999):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(inquiries_at(mine.folder, 999, generation))


def test_a_full_file_system_is_named(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with none_stays_open(), pytest.raises(OSError, match="No space left") as raised, runtime_of(folder):
        pytest.fail("it has it")
    assert reason_of(raised.value) == f"No space left on device: {folder}"


def test_14_a_supervisor_waits_for_the_workers_of_a_killed_one_and_removes_their_sockets(folder: str) -> None:
    lock = killed(folder)
    order: list[str] = []
    begun: list[Runtime] = []

    def begin() -> None:
        with runtime_of(folder) as mine:
            order.append("begun")
            begun.append(mine)
            assert set(os.listdir(folder)) == {SUPERVISOR, WORKERS}

    thread = Thread(target=begin)
    thread.start()
    thread.join(4 * runtime.ASK_AGAIN)
    order.append("last worker gone")
    os.close(lock)
    thread.join()
    assert order == ["last worker gone", "begun"]
    assert begun


def test_workers_that_do_not_end_are_waited_for_in_vain_and_named(folder: str) -> None:
    lock = killed(folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.join(folder, "worker-0-0"))
        listening.listen()
        for _ in range(2):
            with pytest.raises(OSError, match=rf"not ended in 0 s: kill process {os.getpid()}$"), runtime_of(folder, 0):
                pytest.fail("it does not wait")
    with pytest.raises(OSError, match="kill the processes that hold its lock"), runtime_of(folder, 0):
        pytest.fail("it does not wait")
    os.close(lock)
    with runtime_of(folder, 0):
        pass


def test_a_supervisor_that_ends_while_it_waits_leaves_the_lock_of_those_workers(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = killed(folder)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    for _ in range(2):  # the second one has to wait, too
        with monkeypatch.context() as patch:
            patch.setattr("wsframe.workers.runtime.time.sleep", interrupted)
            with pytest.raises(KeyboardInterrupt), runtime_of(folder):
                pytest.fail("it does not wait")
        assert os.path.exists(os.path.join(folder, WORKERS))
    remove_if_last(folder, lock)
    assert not os.path.exists(folder)


def test_14_the_last_worker_of_a_killed_supervisor_removes_the_directory(folder: str) -> None:
    lock = killed(folder)
    other = os.dup(lock)
    remove_if_last(folder, lock)
    assert os.path.exists(folder)
    remove_if_last(folder, other)
    assert not os.path.exists(folder)


@pytest.mark.parametrize("step", [1, 2])
def test_one_of_two_last_workers_that_end_at_the_same_time_removes_the_directory(
    folder: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = killed(folder)
    others, locked, steps = [os.dup(lock)], runtime.locked, 0

    def lock_slowly(fd: int) -> bool:
        """Have the other worker come after a step."""
        nonlocal steps
        had, steps = locked(fd), steps + 1
        if steps == step and others:
            remove_if_last(folder, others.pop())
        return had

    monkeypatch.setattr(runtime, "locked", lock_slowly)
    remove_if_last(folder, lock)
    if others:
        remove_if_last(folder, others.pop())
    assert not os.path.exists(folder)


def test_a_last_worker_leaves_the_directory_to_a_supervisor_that_waits_for_it(folder: str) -> None:
    lock = killed(folder)
    mine = runtime.locked_supervisor(folder)
    remove_if_last(folder, lock)
    assert os.path.exists(folder)
    os.close(mine)


def test_a_worker_whose_directory_is_gone_already_does_not_mind(folder: str) -> None:
    lock = killed(folder)
    remove_if_last(folder, os.dup(lock))
    os.close(lock)
    remove_if_last(folder, os.open(os.devnull, os.O_RDONLY))
    remove_if_last(f"{folder}-other", os.open(os.devnull, os.O_RDONLY))


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_can_enter_is_refused(folder: str, mode: int) -> None:
    os.mkdir(folder)
    os.chmod(folder, mode)
    with pytest.raises(OSError, match="0700"), runtime_of(folder):
        pytest.fail("it takes it")


def test_a_link_to_a_directory_is_refused(folder: str, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(0o700)
    os.symlink(private, folder)
    with pytest.raises(OSError, match="0700"), runtime_of(folder):
        pytest.fail("it takes it")


def test_the_directory_is_that_of_systemd_or_of_the_user_or_a_temporary_one(tmp_path: Path) -> None:
    assert runtime_folder(["a"], {"RUNTIME_DIRECTORY": "/run/one:/run/two"}) == "/run/one/wsframe"
    of_user = runtime_folder(["a"], {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert os.path.dirname(of_user) == str(tmp_path)
    assert runtime_folder(["a"], {"XDG_RUNTIME_DIR": "/nowhere"}) == runtime_folder(["a"], {})


def test_services_with_other_addresses_have_other_directories() -> None:
    assert runtime_folder(["a", "b"], {}) == runtime_folder(["b", "a"], {}) != runtime_folder(["a"], {})


def test_a_process_is_a_supervisor_while_it_has_both_locks(folder: str) -> None:
    assert is_supervisor(os.getpid()) is False
    with runtime_of(folder) as mine:
        assert is_supervisor(os.getpid())
        lock = os.dup(mine.lock)
    try:
        assert is_supervisor(os.getpid()) is False  # as a worker, which has inherited one
    finally:
        os.close(lock)


def test_a_process_that_cannot_be_looked_at_is_no_supervisor_if_a_hangup_would_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can be of another user, or hide its memory as an agent with keys does."""

    def denied(folder: str) -> list[str]:
        raise PermissionError(folder)

    monkeypatch.setattr(os, "listdir", denied)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert is_supervisor(os.getpid()) is False
        signal.signal(signal.SIGHUP, lambda *_: None)
        assert is_supervisor(os.getpid()) is None
    finally:
        signal.signal(signal.SIGHUP, before)
    assert is_supervisor(2**30) is False, "it is gone"
