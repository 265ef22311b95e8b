"""``wsframe serve --reload``: restarts, and their effect on clients, faults and signals."""

import os
import signal
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest
import trio
from trio.testing import MockClock
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import wsframe
from tests.patience import PATIENCE, watched
from tests.recorder import Recorder
from tests.wire import connected, serving
from wsframe import cli
from wsframe.cli import reload
from wsframe.cli.errors import Mistake
from wsframe.cli.reload import Reloader, folder_of, names_of, obey_reloader, reload_target

pytestmark = pytest.mark.usefixtures("no_stale_bytecode")

TARGET = """
import trio
import wsframe


class Hello(wsframe.Resource):
    async def client_connected(self, client):
        client.send_text("hello")

    async def disconnected(self, client):
        print("goodbye", flush=True)
        if client.path == "/clinging":
            await trio.sleep_forever()


hello = Hello()
wsframe.register_global_resource("/hello", hello)
wsframe.register_global_resource("/clinging", hello)
"""


class Reloading:
    """A running ``wsframe serve --reload``."""

    def __init__(self, process: subprocess.Popen[str], target: Path) -> None:
        self.process = process
        self.target = target
        self.lines: Queue[str] = Queue()
        """Its output, on either stream."""
        self.threads = [
            threading.Thread(target=self.pump, args=(stream,)) for stream in (process.stdout, process.stderr)
        ]
        for thread in self.threads:
            thread.start()

    def pump(self, stream: Iterator[str]) -> None:
        for line in stream:
            self.lines.put(line.rstrip())

    def until(self, beginning: str) -> str:
        """Return the next line that begins so."""
        while not (line := self.lines.get(timeout=PATIENCE)).startswith(beginning):
            pass
        return line

    def change(self, old: str, new: str) -> None:
        """Change the target as editors do: at once."""
        text = self.target.read_text()
        assert old in text
        other = self.target.with_suffix(".new")
        other.write_text(text.replace(old, new))
        other.replace(self.target)

    def open(self, address: str, path: str = "/hello") -> ClientConnection:
        return connect(address + path, open_timeout=PATIENCE, proxy=None)


@contextmanager
def reloading(folder: Path, *arguments: str) -> Iterator[Reloading]:
    target = folder / "reloaded.py"
    target.write_text(TARGET)
    command = [sys.executable, "-m", "wsframe", "serve", "reloaded.py", "--reload", "--log-level", "error", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
    ) as process:
        running = Reloading(process, target)
        try:
            with watched(process, 3 * PATIENCE):  # the server ends with its reloader
                yield running
        finally:
            for thread in running.threads:
                thread.join()


def address_in(line: str) -> str:
    return line.split()[2]


def test_a_change_restarts_the_server_and_tells_its_clients_so(tmp_path: Path) -> None:
    with reloading(tmp_path, "--port", "0") as running:
        address = address_in(running.until("Serving at "))
        with running.open(address) as client:
            assert client.recv(PATIENCE) == "hello"
            running.change('"hello")', '"hallo")')
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert (client.close_code, client.close_reason) == (1012, "server stopping")
        assert running.until("wsframe: ") == "wsframe: reloaded.py changed; restarting"
        with running.open(address) as client:  # it waits in the kernel if there is no server yet
            assert client.recv(PATIENCE) == "hallo"
        assert address_in(running.until("Serving at ")) == address


def test_a_fault_in_the_new_code_is_printed_and_the_next_change_waited_for(tmp_path: Path) -> None:
    with reloading(tmp_path, "--port", "0") as running:
        address = address_in(running.until("Serving at "))
        running.change("hello = Hello()", "hello = Hallo()")
        assert "NameError: name 'Hallo' is not defined" in running.until("wsframe: cannot import reloaded.py")
        running.until("wsframe: the server has ended with exit code 2; waiting for a change")
        running.change("hello = Hallo()", "hello = Hello()")
        with running.open(address) as client:
            assert client.recv(PATIENCE) == "hello"


def test_a_fault_in_the_first_code_is_waited_out_too(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with reloading(tmp_path, "--port", "0", "--http-handler", "page", "--reload-dir", "other") as running:
        running.until("wsframe: reloaded has no attribute 'page'")
        running.until("wsframe: the server has ended with exit code 2; waiting for a change")
        (tmp_path / "other" / "page.html").write_text("")
        assert running.until("wsframe: ") == "wsframe: page.html changed; restarting"
        running.until("wsframe: the server has ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_server_and_ends_both(tmp_path: Path, number: int) -> None:
    with reloading(tmp_path, "--unix", "socket", "--admin", "admin") as running:
        running.until("Serving at unix:socket")
        running.process.send_signal(number)
        assert running.process.wait(PATIENCE) == 0
        assert {path.name for path in tmp_path.iterdir()} == {"reloaded.py"}


def test_ctrl_c_reaches_both_and_the_drain_is_not_cut_short(tmp_path: Path) -> None:
    with (
        reloading(tmp_path, "--port", "0") as running,
        running.open(address_in(running.until("Serving at "))) as client,
    ):
        assert client.recv(PATIENCE) == "hello"
        os.killpg(running.process.pid, signal.SIGINT)
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert client.close_code == 1001
        running.until("goodbye")
        assert running.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with reloading(tmp_path, "--port", "0", "--drain-timeout", "9999") as running:
        with running.open(address_in(running.until("Serving at ")), "/clinging") as client:
            assert client.recv(PATIENCE) == "hello"
        running.until("goodbye")  # the hook would now go on for ever
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0


def test_the_server_ends_with_a_reloader_that_is_killed(tmp_path: Path) -> None:
    with (
        reloading(tmp_path, "--port", "0") as running,
        running.open(address_in(running.until("Serving at "))) as client,
    ):
        assert client.recv(PATIENCE) == "hello"
        running.process.kill()
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert client.close_code == 1001
        running.until("goodbye")


# In this process: cases that take time, or are hard to bring about.


class Watched:
    """Changes made by the test, in the place of watchfiles."""

    def __init__(self) -> None:
        self.changes, self.told = trio.open_memory_channel[set[tuple[object, str]]](10)

    async def __call__(self, *, stop_event: trio.Event) -> object:
        async for change in self.told:
            yield change


STUBBORN = "import time; print('here', flush=True); time.sleep(60)"


def reloader_of(script: str, watched: Watched, *, patience: float) -> Reloader:
    def command(orders: int) -> list[str]:
        return [sys.executable, "-c", script, str(orders)]

    return Reloader(command, [], watched, patience)  # type: ignore[arg-type]


async def test_a_server_that_does_not_end_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    watched = Watched()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader_of(STUBBORN, watched, patience=0.2).run)
            await told(capfd, "here")
            watched.changes.send_nowait({(1, "/a/b.py"), (1, "/a/c.py")})
            await told(
                capfd, "b.py and 1 more changed; restarting", "the server did not end in time; killing it", "here"
            )
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)


async def test_a_second_signal_kills_a_server_that_does_not_hurry(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "HURRIED", 0.1)
    reloader = reloader_of(STUBBORN, Watched(), patience=60)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader.run)
            await told(capfd, "here")
            os.kill(os.getpid(), signal.SIGTERM)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)


async def test_a_signal_during_a_restart_starts_nothing_more(capfd: pytest.CaptureFixture[str]) -> None:
    watched = Watched()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader_of(STUBBORN, watched, patience=0.5).run)
            await told(capfd, "here")
            watched.changes.send_nowait({(1, "/a/b.py")})
            await told(capfd, "restarting")
            os.kill(os.getpid(), signal.SIGTERM)
            watched.changes.send_nowait({(1, "/a/b.py")})
    assert "here" not in "".join(capfd.readouterr())


async def told(capfd: pytest.CaptureFixture[str], *parts: str) -> None:
    """Wait until all of this was printed."""
    seen = ""
    while not all(part in seen for part in parts):
        seen += "".join(capfd.readouterr())
        await trio.sleep(0.01)


async def order(data: bytes, running: list[wsframe.Server]) -> trio.CancelScope:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    scope = trio.CancelScope()
    await obey_reloader(reading, running, scope)
    return scope


async def test_a_server_that_has_not_started_is_cancelled() -> None:
    assert (await order(b"r", [])).cancel_called
    assert (await order(b"", [])).cancel_called


@pytest.mark.parametrize(("data", "code"), [(b"r", 1012), (b"e", 1001), (b"", 1001)])
async def test_orders_name_the_close_code(data: bytes, code: int) -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        assert not (await order(data, [server])).cancel_called
        assert (await peer.receive_close())[0] == code


async def test_an_order_to_hurry_cuts_the_drain_short(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with serving(room, timeouts=wsframe.Timeouts(drain=1e6, close=1e6)) as server, connected(server):
        await room.journal.until("connected")
        began = trio.current_time()
        await order(b"eh", [server])
        await server.closed()
        assert trio.current_time() - began < 1000


def test_names_of_changes() -> None:
    assert names_of({(1, "/a/b.py")}) == "b.py"
    assert names_of({(1, "/a/b.py"), (2, "/a/c.py"), (2, "/a/d.py")}) == "b.py and 2 more"


def test_the_folder_watched_is_that_of_the_file_or_the_current_one(in_folder: Path) -> None:
    (in_folder / "deep").mkdir()
    (in_folder / "deep" / "target.py").write_text("")
    assert folder_of("deep/target.py") == in_folder / "deep"
    assert folder_of("hello_target:registry") == in_folder


def test_reloading_needs_watchfiles(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert cli.main(["serve", "hello_target", "--port", "0", "--reload"]) == 2
    assert capsys.readouterr().err == ("wsframe: --reload needs the extra 'reload': pip install 'wsframe[reload]'\n")


def test_reloading_is_not_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "os", Namespace(name="nt"))
    with pytest.raises(Mistake, match="Windows"):
        reload_target(Namespace(), [])
