"""A server in a thread: it is bound when the body begins and gone when it ends, and no thread is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import wsframe
from tests.patience import PATIENCE
from wsframe import Client, Registry, Resource, ServeOptions, Server, Timeouts, serving


class Echo(Resource):
    async def received_text(self, client: Client, message: str) -> None:
        if message == "exit":
            sys.exit(3)
        client.send_text(message)

    async def received_custom(self, message: object) -> None:
        self.broadcast_text(str(message))


@pytest.fixture
def registry() -> Registry:
    registry = Registry(alone=True)
    registry.register("/", Echo())
    return registry


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [one.name for one in threading.enumerate() if one.name.startswith("wsframe server")] == []


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close clients that outlive their server."""
    with ExitStack() as stack:
        yield stack


def visit(server: Server) -> ClientConnection:
    return connect(server.addresses[0], open_timeout=PATIENCE, proxy=None)


def visit_once(server: Server) -> None:
    with visit(server) as client:
        client.send("still here")
        assert client.recv(PATIENCE) == "still here"


def test_a_thread_serves_while_the_body_runs(registry: Registry) -> None:
    with serving(registry, port=0) as server:
        with visit(server) as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"
            (one,) = server.list_clients()
            assert one.path == "/"
            assert server.statistics().clients == server.clients == 1
            assert (server.unready(), len(server.slowest_clients())) == ("", 0)
            echo = server.find("/")
            assert isinstance(echo, Echo)
            echo.post_from_thread("posted")
            assert client.recv(PATIENCE) == "posted"
        address = server.addresses[0]
    with pytest.raises(OSError, match="refused"):
        connect(address, open_timeout=PATIENCE, proxy=None)
    assert server.statistics().admitted == 1


def test_clients_leave_in_order_with_the_body(registry: Registry, stack: ExitStack) -> None:
    with serving(registry, port=0) as server:
        client = stack.enter_context(visit(server))
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_any_thread_can_close_the_server(registry: Registry, stack: ExitStack) -> None:
    with serving(registry, port=0) as server:
        client = stack.enter_context(visit(server))
        thread = threading.Thread(target=server.close, args=(1012,))
        thread.start()
        thread.join(PATIENCE)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    server.close()
    server.hurry()


def test_an_address_that_is_taken_is_raised_in_the_caller(registry: Registry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}"), serving(registry, port=port):
            raise AssertionError("it was bound")


def test_a_resource_that_cannot_start_is_raised_in_the_caller() -> None:
    class Broken(Resource):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            await trio.lowlevel.checkpoint()
            assert self.clients, "database"
            yield

    registry = Registry(alone=True)
    registry.register("/", Broken())
    with pytest.raises(AssertionError, match="database"), serving(registry, port=0):
        raise LookupError("it was started")


def test_wrong_options_are_raised_without_a_thread(registry: Registry) -> None:
    with pytest.raises(TypeError, match="no option 'prot'"), serving(registry, prot=0):  # type: ignore[call-arg]
        pass
    with pytest.raises(TypeError, match="a server serves"), serving(Echo()):  # type: ignore[arg-type]
        pass
    with pytest.raises(ValueError, match="port is an int"), serving(registry, options=ServeOptions(), port=-1):
        pass


def test_an_error_of_the_body_comes_out_as_it_is(registry: Registry) -> None:
    with pytest.raises(LookupError, match="mine"), serving(registry, port=0):
        raise LookupError("mine")


def test_an_exit_of_a_hook_is_raised_when_the_body_is_left(registry: Registry) -> None:
    def visit_and_exit() -> None:
        with serving(registry, port=0) as server, visit(server) as client:
            client.send("exit")
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)

    with pytest.raises(SystemExit) as exited:
        visit_and_exit()
    assert exited.value.code == 3


def test_servers_can_be_nested_but_not_serve_the_same_resource(registry: Registry) -> None:
    other = Registry(alone=True)
    other.register("/", Echo())
    with serving(registry, port=0) as outer, serving(other, port=0) as inner:
        assert outer.addresses != inner.addresses
        with pytest.raises(RuntimeError, match="running"), serving(registry, port=0):
            raise LookupError("it was started")
        visit_once(outer)


async def test_within_trio_it_says_what_to_write_instead(registry: Registry) -> None:
    with pytest.raises(RuntimeError, match="open_server"), serving(registry, port=0):
        pass


def test_within_asyncio_it_serves_beside_the_loop(registry: Registry) -> None:
    async def main() -> None:
        with serving(registry, port=0) as server:
            assert server.statistics().clients == 0
            await asyncio.to_thread(visit_once, server)

    asyncio.run(main())


def test_another_trio_thread_can_use_the_handle(registry: Registry) -> None:
    with serving(registry, port=0) as server:

        async def other() -> int:
            return await trio.to_thread.run_sync(lambda: server.statistics().clients)

        assert trio.run(other) == 0


def test_an_interrupt_while_it_drains_cuts_the_drain_short(stack: ExitStack) -> None:
    left = threading.Event()

    class Slow(Resource):
        async def disconnected(self, client: Client) -> None:
            left.set()
            await trio.sleep_forever()

    def interrupt() -> None:
        left.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def serve() -> None:
        with serving(registry, port=0, timeouts=Timeouts(drain=1000)) as server:
            clients.append(stack.enter_context(visit(server)))
            thread.start()

    registry = Registry(alone=True)
    registry.register("/", Slow())
    clients: list[ClientConnection] = []
    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        serve()
    thread.join(PATIENCE)


def test_an_interrupt_in_the_body_closes_in_order(registry: Registry, stack: ExitStack) -> None:
    clients: list[ClientConnection] = []

    def serve() -> None:
        with serving(registry, port=0) as server:
            clients.append(stack.enter_context(visit(server)))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        serve()
    with pytest.raises(ConnectionClosed) as closed:
        clients[0].recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_an_interrupt_while_it_starts_ends_the_thread() -> None:
    class Slow(Resource):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await trio.Event().wait()
            yield

    registry = Registry(alone=True)
    registry.register("/", Slow())
    with pytest.raises(KeyboardInterrupt):
        serving(registry, port=0).__enter__()
    for one in threading.enumerate():
        if one.name == "wsframe server":
            one.join(PATIENCE)


def test_an_interrupt_before_it_waits_ends_the_thread(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "wsframe server":
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with pytest.raises(KeyboardInterrupt):
        serving(registry, port=0).__enter__()
    for one in threading.enumerate():
        if one.name == "wsframe server":
            one.join(PATIENCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_that_is_forked_leaves_the_body_without_ending_the_server(registry: Registry) -> None:
    with serving(registry, port=0) as server:
        child = os.fork()
        if not child:
            try:
                server.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        visit_once(server)


def test_it_is_exported() -> None:
    assert wsframe.serving is serving
