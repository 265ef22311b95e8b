"""The ways to serve: their exceptions, and their ends."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import wsframe
from tests.hostile.place import BOUND, Place, Recorder
from tests.patience import PATIENCE
from tests.wire import Peer, status
from wsframe import Timeouts


async def test_open_server_raises_the_bodys_error_bare(plain: Place) -> None:
    error = ValueError("mine")
    resource = Recorder()
    registry = wsframe.Registry()
    registry.register("/", resource, wsframe.any_origin)
    with pytest.raises(ValueError, match="mine") as caught:
        async with wsframe.open_server(registry, port=0, poller=plain.poller):
            raise error
    assert caught.value is error
    assert resource._listener is None


async def test_open_server_drains_when_it_is_left_or_cancelled(plain: Place) -> None:
    for cancelled in (False, True):
        resource = Recorder()
        registry = wsframe.Registry()
        registry.register("/", resource, wsframe.any_origin)
        with trio.fail_after(BOUND), trio.CancelScope() as scope:
            timeouts = Timeouts(close=0.2)
            async with wsframe.open_server(registry, port=0, poller=plain.poller, timeouts=timeouts) as server:
                port = int(server.addresses[0].rpartition(":")[2])
                peer = Peer(await trio.open_tcp_stream("127.0.0.1", port))
                await peer.upgrade()
                await resource.until(lambda resource=resource: resource.log)  # type: ignore[misc]
                await peer.close()
                if cancelled:
                    scope.cancel()
                    await trio.sleep_forever()
        peer.hang_up()
        assert resource.log == ["+", "-1000"]
        assert scope.cancelled_caught is cancelled


@pytest.mark.parametrize("error", [RuntimeError("no database"), OSError("no file")])
async def test_failing_running_at_the_start_comes_out_of_serve(plain: Place, error: Exception) -> None:
    class Broken(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.fail()
            yield

        def fail(self) -> None:
            raise error

    good = Recorder()
    registry = wsframe.Registry()
    registry.register("/good", good)
    registry.register("/broken", Broken())
    with pytest.raises(type(error)) as caught:
        async with wsframe.open_server(registry, port=0, poller=plain.poller):
            pytest.fail("it serves")
    assert caught.value is error
    assert good._listener is None


async def test_debug_lets_a_hooks_error_out_of_serve_where_there_is_no_terminal(plain: Place) -> None:
    class Broken(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            raise LookupError(message)

    registry = wsframe.Registry()
    resource = Broken()
    registry.register("/", resource, wsframe.any_origin)
    peers: list[Peer] = []

    async def provoke() -> None:
        async with wsframe.open_server(registry, port=0, debug=True, poller=plain.poller) as server:
            peer = Peer(await trio.open_tcp_stream("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))
            peers.append(peer)
            await peer.upgrade()
            await peer.text("boom")
            await trio.sleep_forever()

    with trio.fail_after(BOUND), pytest.raises(LookupError, match="boom"):
        await provoke()
    peers[0].hang_up()
    assert resource.log == ["+", "-1006"]


async def test_failing_server_cancels_its_body_and_comes_out_bare(plain: Place) -> None:
    class Broken(Recorder):
        async def received_custom(self, message: object) -> None:
            raise LookupError(message)

    registry = wsframe.Registry()
    resource = Broken()
    registry.register("/", resource, wsframe.any_origin)

    async def provoke() -> None:
        async with (
            wsframe.open_server(registry, port=0, debug=True, poller=plain.poller),
            trio.open_nursery(),
        ):
            assert resource.post("boom")
            await trio.sleep_forever()

    # Of all: a Cancelled that came out would pass for a test that passes.
    with trio.fail_after(BOUND), pytest.raises(BaseException, match="boom") as caught:
        await provoke()
    assert type(caught.value) is LookupError


async def test_resource_of_a_running_server_is_refused_by_another(plain: Place) -> None:
    resource = Recorder()
    async with plain.serve(resource) as served:
        registry = wsframe.Registry()
        registry.register("/", resource)
        with pytest.raises(RuntimeError, match="running in another server"):
            async with wsframe.open_server(registry, port=0):
                pytest.fail("it serves")
        await served.open()
    async with plain.serve(resource) as served:
        await served.open()


async def test_unknown_poller_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no poller"):
        async with wsframe.open_server(wsframe.Registry(), port=0, poller="select"):  # type: ignore[arg-type]
            pytest.fail("it serves")


@pytest.mark.parametrize(
    ("hosts", "error", "words"),
    [
        (["https://chat.example"], ValueError, "has no scheme, port or path: 'chat.example' instead of"),
        (["chat.example:8000"], ValueError, "has no scheme, port or path: 'chat.example' instead of"),
        (["*.chat.example"], ValueError, "hosts takes names, not patterns"),
        ([], ValueError, "hosts is empty"),
        ("chat.example", TypeError, "hosts is a collection of names"),
        ([b"chat.example"], TypeError, "hosts is a collection of names"),
    ],
)
async def test_hosts_that_would_answer_nobody_are_told(hosts: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await wsframe.serve(wsframe.Registry(alone=True), port=0, hosts=hosts)


@pytest.mark.parametrize(
    ("hosts", "asked", "answered"),
    [
        (["Straße.DE."], "xn--strae-oqa.de", 404),
        (["[::1]"], "[::1]:8000", 404),
        (["FE80::1%eth0"], "[fe80::1]", 404),
        (["chat.example"], "localhost", 400),
        (["*"], "whatever.example", 404),
        (None, "whatever.example", 400),
        (None, "LOCALHOST.:80", 404),
    ],
)
async def test_a_name_of_hosts_is_answered_as_browsers_write_it(hosts: Any, asked: str, answered: int) -> None:
    registry = wsframe.Registry(alone=True)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0, hosts=hosts) as server:
            assert await status(server, "/none", {"Host": asked}) == answered


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("http://localhost", "host='localhost' instead of"),
        ("ws://localhost:8000/chat", "host='localhost' and port=8000 instead of"),
        ("localhost:8000", "host='localhost' and port=8000 instead of"),
        ("[::1]", "host='::1' instead of"),
        ("[::1]:8000", "host='::1' and port=8000 instead of"),
        ("localhost/", "host='localhost' instead of"),
        (" localhost", "host='localhost' instead of"),
        ("", "None for every address"),
    ],
)
async def test_a_host_that_cannot_be_bound_is_told_with_the_right_form(host: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"host is a name or address.*{right}"):
        await wsframe.serve(wsframe.Registry(alone=True), port=0, host=host)


async def test_http_handler_that_cannot_be_called_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"http_handler is an async function, such as http_routes\(...\), not dict"):
        await wsframe.serve(wsframe.Registry(), port=0, http_handler={})  # type: ignore[arg-type]


class Program:
    """A server in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.heard = b""

    async def hear(self, line: str) -> None:
        """Wait until it says something."""
        assert self.process.stdout is not None
        while f"{line}\n".encode() not in self.heard:
            data = await self.process.stdout.receive_some()
            assert data, f"it ended after {self.heard!r}"
            self.heard += data


async def first_peer(port: int, process: trio.Process) -> Peer:
    """Connect as soon as the program listens."""
    while True:
        try:
            return Peer(await trio.open_tcp_stream("127.0.0.1", port))
        except OSError:
            assert process.poll() is None, "it ended"
            await trio.sleep(0.02)


@asynccontextmanager
async def program(drain: float) -> AsyncIterator[tuple[Program, Peer]]:
    """Run a server program; yield it with a connected peer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.server.program", str(port), str(drain)]
    with trio.fail_after(2 * BOUND):
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        try:
            peer = await first_peer(port, process)
            assert (await peer.upgrade()).status == 101
            running = Program(process)
            await running.hear("connected")
            yield running, peer
            peer.hang_up()
        finally:
            if process.poll() is None:
                process.kill()
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()


unix_only = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


@unix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_drains_a_program(number: signal.Signals) -> None:
    async with program(60) as (running, peer):
        running.process.send_signal(number)
        assert await peer.rest.until_close() == ([], 1001)
        await peer.close(1001)
        assert await peer.end() == "fin"
        peer.hang_up()
        await running.hear("disconnected 1001")
        await running.hear("ended")
        assert await running.process.wait() == 0


@unix_only
async def test_second_signal_ends_a_program_at_once() -> None:
    async with program(600) as (running, peer):
        await peer.text("stuck")
        await running.hear("stuck")
        running.process.send_signal(signal.SIGTERM)
        assert await peer.rest.until_close() == ([], 1001)
        running.process.send_signal(signal.SIGTERM)
        await running.hear("disconnected 1006")
        await running.hear("ended")
        assert await running.process.wait() == 0


@unix_only
async def test_stuck_hook_of_a_program_is_cut_at_the_drain_deadline() -> None:
    async with program(0.3) as (running, peer):
        await peer.text("stuck")
        await running.hear("stuck")
        running.process.send_signal(signal.SIGINT)
        await running.hear("disconnected 1006")
        assert await running.process.wait() == 0


def test_run_raises_a_taken_port_bare() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        wsframe.run(wsframe.Registry(), port=taken.getsockname()[1], timeouts=Timeouts(drain=1))


async def test_run_in_a_program_on_trio_names_serve() -> None:
    with pytest.raises(RuntimeError, match=r"write 'await wsframe\.serve\(\.\.\.\)'"):
        wsframe.run(wsframe.Registry(alone=True), port=0)


@pytest.mark.parametrize("under_asyncio", [True, False])
def test_run_says_that_the_loop_of_asyncio_stops(under_asyncio: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        wsframe.run(wsframe.Registry(alone=True), port=0, started=lambda server: server.close())

    if under_asyncio:
        asyncio.run(main())
    else:
        with pytest.raises(StopIteration):
            main().send(None)
    warned = any("run() stops the asyncio loop" in message for message in caplog.messages)
    assert warned is under_asyncio


NO_STREAMS = """
import os, wsframe

def started(server):
    null = os.stat(os.devnull).st_rdev
    found = [os.fstat(fd).st_rdev == null for fd in (0, 1, 2)]
    with open("found", "w") as file:
        print(*found, file=file)
    server.close()

wsframe.run(port=0, started=started)
"""


@unix_only
def test_no_socket_of_a_program_gets_the_number_of_a_closed_standard_stream(tmp_path: Path) -> None:
    """C code would write its complaints to a client."""
    command = 'exec "$0" -c "$1" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", command, sys.executable, NO_STREAMS], cwd=tmp_path, timeout=PATIENCE)
    assert done.returncode == 0
    assert (tmp_path / "found").read_text() == "True True True\n"
