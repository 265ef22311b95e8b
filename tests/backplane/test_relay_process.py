"""The relay's own side: workers that lie, stall and leave."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from tests.backplane.relays import listening, relay, relay_process
from tests.patience import PATIENCE
from wsframe.backplane.frames import (
    ANSWER,
    ASK,
    FORMAT,
    HELLO,
    LENGTH,
    PUBLISH,
    UNWANT,
    WANT,
    Frame,
    FrameReader,
    frame,
    json_frame,
)
from wsframe.backplane.interface import History
from wsframe.backplane.relay import RelayBackplane
from wsframe.backplane.relay_process import serve_relay
from wsframe.testing.backplanes import Node

pytestmark = pytest.mark.skipif(not hasattr(trio, "open_unix_socket"), reason="unix sockets")
GREETING = json_frame(HELLO, {"node": "rude", "lost": [], "format": FORMAT})
ASKED = {"id": 1, "method": "newest", "arguments": ["t"]}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 20,
        LENGTH.pack(0) + bytes(30),
        json_frame(UNWANT, ["t"]),
        json_frame(WANT, [["t"]]),
        json_frame(HELLO, ["node"]),
        json_frame(HELLO, None),
        json_frame(HELLO, {"node": "old", "lost": []}),
        json_frame(HELLO, {"node": "new", "lost": [], "format": FORMAT + 1}),
        frame(HELLO, b"{"),
        GREETING + frame(99),
        GREETING + frame(PUBLISH, flag=1, sender=b"bounds"),
        GREETING + json_frame(WANT, [["t"]]),
        GREETING + json_frame(ASK, {"id": 1}),
        GREETING + json_frame(ASK, ASKED | {"method": "detach"}),
        GREETING + json_frame(ASK, ASKED | {"arguments": [1, 2, 3]}),
    ],
    ids=range(15),
)
async def test_a_worker_that_speaks_otherwise_loses_its_stream_and_harms_nobody(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "relay"
    with trio.fail_after(PATIENCE):
        async with relay(path), trio.open_nursery() as nursery:
            honest = Node("honest", RelayBackplane(str(path)))
            await nursery.start(honest.backplane.run, "honest", honest.told)
            async with await trio.open_unix_socket(str(path)) as rude:
                await rude.send_all(data)
                while await rude.receive_some():
                    pass
            await honest.want("t")
            nursery.cancel_scope.cancel()
    assert caplog.text.count("a worker's stream is closed") == 1


async def test_a_request_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    with trio.fail_after(PATIENCE):
        async with relay(path), await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(GREETING + json_frame(ASK, ASKED))
            reader = FrameReader()
            frames: list[Frame] = []
            while len(frames) < 2:
                frames += reader.feed(bytes(await stream.receive_some()))
            assert [one.kind for one in frames] == [HELLO, ANSWER]
            answer = frames[1].json()
            assert answer["id"] == 1
            assert answer["result"][1] == 0


async def test_a_history_too_long_for_a_stream_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.backplane.relay_process.LONGEST", 1_000)
    path = tmp_path / "relay"
    with trio.fail_after(PATIENCE):
        async with relay(path), trio.open_nursery() as nursery:
            a = Node("a", RelayBackplane(str(path)))
            await nursery.start(a.backplane.run, "a", a.told)
            first = await a.backplane.newest("t")
            assert first is not None
            await a.want("t")
            for _ in range(10):
                a.backplane.publish("t", b"x" * 100, keep=History())
            await a.told.until(lambda: len(a.told.messages) == 10)
            assert await a.backplane.since("t", first, 100) is None
            assert await a.backplane.kept("t") is None
            assert len(await a.backplane.since("t", first._replace(offset=7), 100) or ()) == 3
            nursery.cancel_scope.cancel()


async def test_a_worker_that_does_not_read_holds_up_nobody_and_learns_of_its_gap(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    with trio.fail_after(PATIENCE):
        async with relay(path, limit=50_000), trio.open_nursery() as nursery:
            a, b = (Node(name, RelayBackplane(str(path))) for name in "ab")
            for node in (a, b):
                await nursery.start(node.backplane.run, node.name, node.told)
            await b.want("t")
            async with await trio.open_unix_socket(str(path)) as stalled:
                await stalled.send_all(json_frame(WANT, ["t"]) + GREETING)
                for number in range(200):
                    while not a.backplane.publish("t", str(number).encode().ljust(5_000)):
                        await trio.lowlevel.checkpoint()
                    await b.told.until(lambda number=number: len(b.told.messages) > number)  # type: ignore[misc]
                kinds: list[int] = []
                reader = FrameReader()
                a.backplane.publish("t", b"last")
                while 8 not in kinds:  # the gap
                    kinds += [one.kind for one in reader.feed(bytes(await stalled.receive_some(1 << 20)))]
            assert b.told.gaps == []
            nursery.cancel_scope.cancel()


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


async def test_answers_that_a_worker_does_not_read_are_bounded(tmp_path: Path) -> None:
    """It asks for the same history again and again; beyond its room the answer is that it is not whole."""
    path, asked = tmp_path / "relay", 200
    with trio.fail_after(PATIENCE):
        async with relay(path, limit=50_000), trio.open_nursery() as nursery:
            a = Node("a", RelayBackplane(str(path)))
            await nursery.start(a.backplane.run, "a", a.told)
            first = await a.backplane.newest("t")
            assert first is not None
            for _ in range(10):
                a.backplane.publish("t", b"x" * 1_000, keep=History())
            newest = await a.backplane.newest("t")
            asks = [
                {
                    "id": number,
                    "method": ("since", "kept")[number % 2],
                    "arguments": (["t", first, 100], ["t"])[number % 2],
                }
                for number in range(asked)
            ]
            asks.append({"id": asked, "method": "newest", "arguments": ["t"]})
            async with await trio.open_unix_socket(str(path)) as stream:
                await stream.send_all(GREETING + b"".join(json_frame(ASK, ask) for ask in asks))
                reader = FrameReader()
                answers: list[Frame] = []
                while len(answers) <= asked:
                    frames = reader.feed(bytes(await stream.receive_some(1 << 20)))
                    answers += [one for one in frames if one.kind == ANSWER]
            results = [one.json()["result"] for one in answers]
            whole = [result for result in results[:asked] if result is not None]
            assert 0 < len(whole) < asked
            assert results[asked] == list(newest or ())
            nursery.cancel_scope.cancel()


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
