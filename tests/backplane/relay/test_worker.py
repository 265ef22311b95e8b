"""One worker as the relay sees it: it lies, stalls, asks too much, or sends much at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.backplane.relays import relay
from tests.patience import PATIENCE
from wsframe.backplane.hub import Hub
from wsframe.backplane.interface import History
from wsframe.backplane.queue import LIMIT, Queue, Run
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.backplane.relay.frames import (
    ANSWER,
    ASK,
    FORMAT,
    HELLO,
    LENGTH,
    MESSAGE,
    PUBLISH,
    UNWANT,
    WANT,
    FrameReader,
    RelayFrame,
    frame,
    json_frame,
    publish_frame,
)
from wsframe.backplane.relay.stream import WriteTurn
from wsframe.backplane.relay.worker import RelayWorker
from wsframe.testing.backplanes import Node

pytestmark = pytest.mark.skipif(not hasattr(trio, "open_unix_socket"), reason="no unix sockets here")
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
        json_frame(HELLO, {"node": "\ud800", "lost": [], "format": FORMAT}),
        publish_frame("t", b"early", None, b"rude"),
        GREETING + frame(99),
        GREETING + publish_frame("t", b"x", None, b"honest"),
        GREETING + publish_frame("t", b"x", None, b"rude") + publish_frame("t", b"x", None, b"rud"),
        GREETING + frame(MESSAGE, topic="t", sender=b"rude", flag=1),
        GREETING + frame(PUBLISH, flag=1, sender=b"bounds"),
        GREETING + json_frame(WANT, [["t"]]),
        GREETING + json_frame(ASK, {"id": 1}),
        GREETING + json_frame(ASK, ASKED | {"method": "detach"}),
        GREETING + json_frame(ASK, ASKED | {"arguments": [1, 2, 3]}),
    ],
    ids=range(20),
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
            frames: list[RelayFrame] = []
            while len(frames) < 2:
                frames += reader.feed(bytes(await stream.receive_some()))
            assert [one.kind for one in frames] == [HELLO, ANSWER]
            answer = frames[1].json()
            assert answer["id"] == 1
            assert answer["result"][1] == 0


async def test_a_history_too_long_for_a_stream_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.backplane.relay.worker.LONGEST", 1_000)
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
                answers: list[RelayFrame] = []
                while len(answers) <= asked:
                    frames = reader.feed(bytes(await stream.receive_some(1 << 20)))
                    answers += [one for one in frames if one.kind == ANSWER]
            results = [one.json()["result"] for one in answers]
            whole = [result for result in results[:asked] if result is not None]
            assert 0 < len(whole) < asked
            assert results[asked] == list(newest or ())
            nursery.cancel_scope.cancel()


async def test_messages_that_were_read_at_once_are_passed_on_in_one_piece() -> None:
    hub = Hub(lambda: 0.0, lambda: 0)
    other = hub.attach("other", Queue())
    hub.want(other, ["t"])
    other.queue.take()
    ours, theirs = trio.testing.memory_stream_pair()
    messages = b"".join(publish_frame("t", b"%d" % number, None, b"rude") for number in range(1_000))
    await ours.send_all(GREETING + messages)
    await ours.send_eof()
    await RelayWorker(hub, LIMIT, WriteTurn()).serve(theirs)
    assert other.queue.take() == [Run("t", b"rude", messages)]


async def test_a_message_alone_passes_the_relay_in_one_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader writes it to the other workers: their tasks stay asleep."""
    path, woken = tmp_path / "relay", list[str]()
    send_all = trio.SocketStream.send_all

    async def noted(self: trio.SocketStream, data: bytes | bytearray | memoryview) -> None:
        woken.append("task")
        await send_all(self, data)

    with trio.fail_after(PATIENCE):
        async with relay(path), trio.open_nursery() as nursery:
            nodes = [Node(name, RelayBackplane(str(path))) for name in "abc"]
            for node in nodes:
                await nursery.start(node.backplane.run, node.name, node.told)
                await node.want("t")
            nodes[0].backplane.publish("unwanted", b"")  # after the burst of its greeting it is alone again
            await trio.testing.wait_all_tasks_blocked()
            monkeypatch.setattr(trio.SocketStream, "send_all", noted)
            for number in range(10):
                nodes[0].backplane.publish("t", b"%d" % number)
                for node in nodes[1:]:
                    await node.told.until(lambda node=node, number=number: len(node.told.messages) > number)  # type: ignore[misc]
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert woken == []
    assert nodes[2].told.payloads("t") == [b"%d" % number for number in range(10)]
