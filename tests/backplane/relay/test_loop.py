"""The loop that relays without tasks keeps the promises of every backplane, and a worker harms nobody but itself."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.lowlevel

from tests.backplane.relays import listening
from tests.patience import PATIENCE
from wsframe.backplane.hub import Hub
from wsframe.backplane.interface import Backplane
from wsframe.backplane.queue import LIMIT
from wsframe.backplane.relay import loop as relay_loop
from wsframe.backplane.relay import stream
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.backplane.relay.frames import (
    FORMAT,
    GAP,
    HELLO,
    MESSAGE,
    WANT,
    FrameReader,
    frame,
    json_frame,
    publish_frame,
)
from wsframe.backplane.relay.loop import RelayLoop
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, Node, PublishConformance

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll")
WANTING = json_frame(WANT, ["t"]) + json_frame(HELLO, {"node": "plain", "lost": [], "format": FORMAT})


@asynccontextmanager
async def looping(path: Path, *, limit: int = LIMIT, beat: Callable[[], object] = lambda: None) -> AsyncIterator[None]:
    """Run a loop in a thread; it leaves after the block, with its last worker."""
    supervisor, life = socket.socketpair()
    with listening(path) as listener, supervisor, life:
        listener.setblocking(False)
        hub = Hub(time.monotonic, lambda: time.time_ns() // 1_000)
        loop = RelayLoop(listener, hub, limit=limit, life=life, beat=beat)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, loop.run)
            try:
                yield
            finally:
                supervisor.close()


@asynccontextmanager
async def nodes(path: Path, *names: str, limit: int = LIMIT) -> AsyncIterator[list[Node]]:
    """Run a loop and some nodes at it."""
    with trio.fail_after(PATIENCE):
        async with looping(path, limit=limit), trio.open_nursery() as nursery:
            running = [Node(name, RelayBackplane(str(path))) for name in names]
            for node in running:
                await nursery.start(node.backplane.run, node.name, node.told)
            yield running
            nursery.cancel_scope.cancel()


@contextmanager
def plain_worker(path: Path) -> Iterator[socket.socket]:
    """Connect without a backplane."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.settimeout(PATIENCE)
        yield sock


class TestLoop(PublishConformance, HistoryConformance, LeaseConformance):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "relay"

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        async with looping(self.path):
            yield lambda: RelayBackplane(str(self.path))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n" * 20, frame(99), WANTING + frame(99)])
async def test_a_worker_that_speaks_otherwise_loses_its_stream_and_harms_nobody(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "relay"
    async with nodes(path, "a", "b") as (a, b):
        await b.want("t")
        with plain_worker(path) as rude:
            rude.sendall(data)
            while await trio.to_thread.run_sync(rude.recv, 1000):
                pass
        await b.told.until(lambda: None in b.told.gaps)
        a.backplane.publish("t", b"still here")
        await b.told.until(lambda: b.told.payloads("t") == [b"still here"])
    assert caplog.text.count("a worker's stream is closed: MalformedFrame(") == 1


async def test_a_worker_that_ends_costs_no_line_and_no_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "relay"
    async with nodes(path, "a", "b") as (a, b):
        await b.want("t")
        for unread in (False, True):
            with plain_worker(path) as plain:
                plain.sendall(WANTING)
                await trio.to_thread.run_sync(plain.recv, 1)
                if unread:  # closing such a socket resets it
                    a.backplane.publish("t", b"unread")
                    await trio.to_thread.run_sync(select.select, [plain], [], [])
        a.backplane.publish("t", b"later")
        await b.told.until(lambda: b"later" in b.told.payloads("t"))
        assert b.told.gaps == []
    assert caplog.text == ""


async def test_a_worker_that_does_not_read_holds_up_nobody_and_gets_the_rest_and_its_gap(tmp_path: Path) -> None:
    path, big = tmp_path / "relay", bytes(1 << 20)
    async with nodes(path, "a", "b", limit=4 << 20) as (a, b):
        await b.want("t")
        with plain_worker(path) as slow:
            slow.sendall(WANTING)
            await trio.to_thread.run_sync(slow.recv, 1, socket.MSG_PEEK)
            for number in range(20):
                a.backplane.publish("t", bytes([number]) + big)
                await b.told.until(lambda number=number: len(b.told.messages) > number)  # type: ignore[misc]
            a.backplane.publish("other", b"")

            def read_all() -> list[bytes]:
                reader, payloads, gap = FrameReader(), list[bytes](), False
                while not gap:
                    for one in reader.feed(slow.recv(1 << 20)):
                        if one.kind == MESSAGE:
                            payloads.append(one.payload[:1])
                        gap = gap or one.kind == GAP
                return payloads

            got = await trio.to_thread.run_sync(read_all)
            assert 0 < len(got) < 20
            assert got == [bytes([number]) for number in range(len(got))]


async def test_the_loop_beats_while_nothing_and_while_much_happens(tmp_path: Path) -> None:
    beats: list[float] = []
    path = tmp_path / "relay"
    with trio.fail_after(PATIENCE):
        async with looping(path, beat=lambda: beats.append(time.monotonic())), trio.open_nursery() as nursery:
            while len(beats) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
            node = Node("busy", RelayBackplane(str(path)))
            await nursery.start(node.backplane.run, node.name, node.told)
            before = len(beats)
            while len(beats) < before + 2:
                node.backplane.publish("t", b"x")
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


async def test_without_descriptors_a_worker_waits_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "relay"

    class Listener(socket.socket):
        refusals = 2

        def accept(self) -> tuple[socket.socket, object]:
            if self.refusals:
                self.refusals -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    supervisor, life = socket.socketpair()
    with Listener(socket.AF_UNIX) as listener, supervisor, life, trio.fail_after(PATIENCE):
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        loop = RelayLoop(listener, Hub(time.monotonic, lambda: 0), life=life)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, loop.run)
            async with trio.open_nursery() as running:
                node = Node("patient", RelayBackplane(str(path)))
                await running.start(node.backplane.run, node.name, node.told)
                running.cancel_scope.cancel()
            supervisor.close()
    assert "no worker can connect: [Errno 24] Too many open files" in caplog.text


async def test_histories_that_are_too_old_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_loop, "SWEEP", 0.0)
    swept: list[str] = []
    monkeypatch.setattr(Hub, "sweep", lambda self: swept.append("swept"))
    async with nodes(tmp_path / "relay"):
        while len(swept) < 2:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_a_message_alone_is_read_once_and_written_once_to_each_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "relay", list[str]()
    readv, write = os.readv, os.write

    def noted_readv(fd: int, into: list[memoryview]) -> int:
        calls.append("read")
        return readv(fd, into)

    def noted_write(fd: int, data: bytes) -> int:
        calls.append("write")
        return write(fd, data)

    def go() -> None:
        with plain_worker(path) as first, plain_worker(path) as second, plain_worker(path) as publisher:
            for number, one in enumerate((first, second, publisher)):
                wants = json_frame(WANT, ["t"]) if one is not publisher else b""
                one.sendall(wants + json_frame(HELLO, {"node": str(number), "lost": [], "format": FORMAT}))
                reader, kinds = FrameReader(), list[int]()
                while len(kinds) < (1 if one is publisher else 2):
                    kinds += [answer.kind for answer in reader.feed(one.recv(1_000))]
            for module in (relay_loop, stream):  # other threads of this process have the real ones
                monkeypatch.setattr(module, "os", SimpleNamespace(readv=noted_readv, write=noted_write))
            for number in range(10):
                message = publish_frame("t", b"%d" % number, None, b"2")
                publisher.sendall(message)
                assert [one.recv(1_000) for one in (first, second)] == [message] * 2
            monkeypatch.undo()

    with trio.fail_after(PATIENCE):
        async with looping(path):
            await trio.to_thread.run_sync(go)
    assert calls == ["read", "write", "write"] * 10
