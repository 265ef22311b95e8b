"""A service of several workers: refused options, and names."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import trio

import wsframe
from tests.patience import PATIENCE
from wsframe.limits import Capacity, Timeouts
from wsframe.server.service import orphan
from wsframe.server.service.service import (
    check_descriptors,
    check_service,
    check_times,
    command_again,
    longest_wait,
    names_of,
    without_hangup,
    worker_count,
)
from wsframe.server.sockets.addresses import InheritedAddress, PassedAddress, ServerAddress, TcpAddress, UnixAddress


def test_a_number_of_workers_is_one_for_each_processor_or_given() -> None:
    assert worker_count("auto") == len(os.sched_getaffinity(0))
    assert worker_count(3) == 3


def test_the_current_folder_has_the_name_of_the_shell_which_can_be_a_symlink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart then loads the release to which it leads by then."""
    release, current = tmp_path / "release", tmp_path / "current"
    release.mkdir()
    current.symlink_to(release)
    monkeypatch.chdir(current)
    assert wsframe.current_folder({"PWD": str(current)}) == str(current)
    for other in ({}, {"PWD": "current"}, {"PWD": "."}, {"PWD": "/"}, {"PWD": str(tmp_path / "nothing")}):
        assert wsframe.current_folder(other) == str(release.resolve())


def test_workers_begin_in_the_folder_of_the_command_line_though_the_program_changes_it(tmp_path: Path) -> None:
    program = "import os, wsframe; os.chdir('/'); wsframe.serve; print(wsframe.started_in)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{tmp_path.resolve()}\n", "")


def test_a_program_in_a_removed_folder_can_import_all_of_wsframe(tmp_path: Path) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    program = f"import os; os.rmdir({str(folder)!r}); import wsframe; wsframe.serve; print('imported')"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("imported\n", "")


@pytest.mark.parametrize("wrong", [True, False, 2.0, "2", "", None, [2]])
def test_another_type_is_not_a_number_of_workers(wrong: object) -> None:
    with pytest.raises(TypeError, match="workers is a number"):
        worker_count(wrong)


@pytest.mark.parametrize("few", [0, -1, -(2**70)])
def test_fewer_than_one_worker_is_refused(few: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        worker_count(few)


@pytest.mark.parametrize("many", [257, 8000, 2**70])
def test_more_workers_than_partitions_are_refused(many: int) -> None:
    with pytest.raises(ValueError, match=f"workers is at most 256, the number of partitions, not {many}"):
        worker_count(many)
    assert worker_count(256) == 256


def test_a_machine_of_more_processors_has_a_worker_for_each_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(384)))
    assert worker_count("auto") == 256


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Have descriptors enough, and note the limits that are set."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: found.append(limits))
    return found


def test_what_workers_cannot_have_is_refused_with_the_way_out(unlimited: list[tuple[int, int]]) -> None:
    check_service(Capacity(), tls=False, debug=False)
    check_service(Capacity(max_clients=1000), tls=True, debug=False)
    with pytest.raises(ValueError, match="max_clients = 2000 needs 4256 in one worker"):
        check_service(Capacity(max_clients=2000), tls=True, debug=False)
    with pytest.raises(ValueError, match="debug needs the terminal"):
        check_service(Capacity(), tls=False, debug=True)
    check_service(Capacity(max_head=65536), tls=False, debug=False)
    with pytest.raises(ValueError, match="at most 65536, not 65537"):
        check_service(Capacity(max_head=65537), tls=False, debug=False)


@pytest.mark.parametrize("name", ["lame_duck", "drain"])
@pytest.mark.parametrize("seconds", [float("inf"), 1e400])
def test_workers_leave_in_finite_times(name: str, seconds: float) -> None:
    check_times(Timeouts(**{name: 3600}))
    with pytest.raises(ValueError, match=f"Timeouts.{name} is a finite number of seconds, not inf"):
        check_times(Timeouts(**{name: seconds}))


def test_a_supervisor_waits_longer_for_workers_of_a_killed_one_than_they_take() -> None:
    assert longest_wait(Timeouts(lame_duck=3, drain=8)) > 3 + 8 + orphan.GRACE


@pytest.mark.parametrize(("name", "value"), [("platform", "darwin"), ("platform", "win32")])
def test_a_system_without_the_sockets_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, name, value)
    if value == "win32":
        monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(ValueError, match=f"sockets that {value} does not have"):
        check_service(Capacity(), tls=False, debug=False)


def test_the_limit_of_descriptors_is_raised_and_has_to_be_enough(unlimited: list[tuple[int, int]]) -> None:
    check_descriptors(4096 - 256)
    assert unlimited == [(4096, 4096)]
    check_descriptors(None)
    with pytest.raises(ValueError, match=r"4096 descriptors, and Capacity\.max_clients = 3841 needs 4097"):
        check_descriptors(4096 - 255)


@pytest.mark.parametrize(
    "keywords",
    [
        {"debug": True},
        {"capacity": Capacity(max_head=1 << 20)},
        {"workers": 0},
        {"timeouts": Timeouts(drain=float("inf"))},
        {"sockets": []},
    ],
)
def test_run_refuses_before_anything_is_bound(keywords: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        wsframe.run(**{"workers": 2, **keywords})  # type: ignore[arg-type]
    assert caught.value.args


async def test_serve_and_open_server_have_no_workers() -> None:
    with pytest.raises(TypeError, match=r"workers is an option of run\(\)"):
        await wsframe.serve(workers=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"workers is an option of run\(\)"):
        async with wsframe.open_server(workers=2):  # type: ignore[call-arg]
            pass


@pytest.mark.parametrize(
    ("argv", "main", "again"),
    [
        (["python", "chat.py", "-v"], {"__file__": "chat.py"}, ["chat.py", "-v"]),
        (["python", "-X", "dev", "-m", "chat"], {"__spec__": object()}, ["-X", "dev", "-m", "chat"]),
        (["python", "-c", "run()"], {}, ["-c", "run()"]),
        (["python"], {}, None),
        (["python", "-i"], {}, None),
        (["python", "-"], {}, None),
    ],
)
def test_a_worker_runs_the_same_command_line_again(
    argv: list[str], main: dict[str, object], again: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("__main__")
    vars(module).update({"__spec__": None, **main})
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(sys, "orig_argv", argv)
    if again is None:
        with pytest.raises(RuntimeError, match="save the program in a file"):
            command_again()
    else:
        assert command_again() == [sys.executable, *again]


def test_a_service_is_named_by_its_addresses_wherever_it_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed: list[ServerAddress] = [TcpAddress("127.0.0.1", 8000), UnixAddress("@chat")]
    assert names_of(fixed) == [str(fixed[0]), "@chat"]
    assert names_of([UnixAddress("chat.socket")]) == [os.path.abspath("chat.socket")]
    assert names_of([TcpAddress("127.0.0.1", 0)])[1:] == [str(os.getpid())]
    for address in (InheritedAddress(3), PassedAddress("")):
        assert os.getcwd() in names_of([address])


def test_an_order_to_restart_before_there_is_a_worker_does_not_end_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor can wait for the workers of a killed one; its own load the newest code anyway."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    try:

        def wait(folder: str, seconds: float) -> object:
            signal.raise_signal(signal.SIGHUP)
            raise OSError("stopped here")

        monkeypatch.setattr("wsframe.server.service.service.runtime_of", wait)
        with pytest.raises(OSError, match="stopped here"):
            wsframe.run(port=0, workers=2)
        assert heard == []
        signal.raise_signal(signal.SIGHUP)
        assert heard == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_that_a_supervisor_starts_holds_a_hangup_back_until_it_can_obey() -> None:
    """pkill reaches workers that import, too, and their end would end the service or stop a restart."""
    program = """
import os, signal
os.kill(os.getpid(), signal.SIGHUP)
from wsframe.workers.worker import survive_hangup
survive_hangup()
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    with without_hangup():
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")


async def test_a_supervisor_hears_a_hangup_although_its_main_thread_holds_it_back() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with without_hangup(), trio.fail_after(PATIENCE), trio.open_signal_receiver(signal.SIGHUP) as signals:
        assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        os.kill(os.getpid(), signal.SIGHUP)
        async for number in signals:
            assert number == signal.SIGHUP
            break
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
