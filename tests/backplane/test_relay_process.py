"""The relay's process: workers that leave, and a process that is stopped or cannot write its log."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from tests.backplane.relays import listening, relay_process
from tests.patience import PATIENCE
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.backplane.relay_process import serve_relay
from wsframe.testing.backplanes import Node

pytestmark = pytest.mark.skipif(not hasattr(trio, "open_unix_socket"), reason="no unix sockets here")


async def test_a_relay_that_was_stopped_goes_on(tmp_path: Path) -> None:
    with listening(tmp_path / "relay") as listener, relay_process(listener) as process, trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            a, b = (Node(name, RelayBackplane(str(tmp_path / "relay"))) for name in "ab")
            for node in (a, b):
                await nursery.start(node.backplane.run, node.name, node.told)
            await b.want("t")
            os.kill(process.pid, signal.SIGSTOP)
            for number in range(100):
                assert a.backplane.publish("t", bytes([number]))
            os.kill(process.pid, signal.SIGCONT)
            await b.told.until(lambda: len(b.told.messages) == 100)
            assert b.told.gaps == []
            nursery.cancel_scope.cancel()


async def test_a_relay_whose_supervisor_is_gone_leaves_with_its_last_worker(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    supervisor, life = socket.socketpair()
    left = trio.Event()

    async def serve(listener: trio.SocketListener) -> None:
        await serve_relay(listener, life=life)
        left.set()

    with supervisor, life, listening(path) as listener, trio.fail_after(PATIENCE):
        listener.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, trio.SocketListener(trio.socket.from_stdlib_socket(listener)))
            node = Node("last", RelayBackplane(str(path)))
            worker = trio.CancelScope()

            async def work(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                with worker:
                    await node.backplane.run("last", node.told, task_status=task_status)

            await nursery.start(work)
            supervisor.close()
            await node.want("t")
            assert not left.is_set()
            worker.cancel()
            await left.wait()


async def test_a_relay_whose_stderr_nobody_reads_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(65536))
    os.set_blocking(writing, True)
    try:
        with listening(path) as listener, relay_process(listener, stderr=writing), trio.fail_after(PATIENCE):
            for _ in range(3):
                async with await trio.open_unix_socket(str(path)) as rude:
                    await rude.send_all(bytes(100))
                    while await rude.receive_some():  # until it has been closed, with a line
                        pass
            async with trio.open_nursery() as nursery:
                node = Node("honest", RelayBackplane(str(path)))
                await nursery.start(node.backplane.run, "honest", node.told)
                await node.want("t")
                nursery.cancel_scope.cancel()
    finally:
        os.close(reading)
        os.close(writing)
