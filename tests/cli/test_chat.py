"""A conversation from the command line, against a server in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import trio.testing

from tests.outgoing.memory import close, connected, settled, text
from tests.protocol import peer
from wsframe.cli.chat import Binary, Close, Display, Ping, Saying, Text, talk
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.websocket import WebSocket


class Shown(Display):
    """Notes all that is shown."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def opened(self, websocket: WebSocket) -> None:
        self.notes.append("opened")

    def message(self, message: str | bytes) -> None:
        self.notes.append(message)

    def pong(self, latency: float) -> None:
        self.notes.append("pong")

    def closed(self, closed: ConnectionClosed) -> None:
        self.notes.append("closed")


async def said(*sayings: Saying) -> AsyncGenerator[Saying, None]:
    for saying in sayings:
        yield saying


async def test_all_is_said_and_the_end_comes_after_some_silence(autojump_clock: trio.testing.MockClock) -> None:
    shown, outcome = Shown(), []
    async with connected() as it:

        async def run() -> None:
            outcome.append(await talk(it.ws, said(Text("hi"), Binary(b"\0")), shown, wait=2))

        it.nursery.start_soon(run)
        await settled()
        assert it.server.received() == ["hi", b"\0"]
        await trio.sleep(1)
        it.server.feed(text("answer"))
        await trio.sleep(1.5)
        assert it.server.received()[2:] == [], "the answer has broken the silence"
        await trio.sleep(1)
        assert it.server.received()[2:] == [("close", 1000)]
        it.server.feed(close())
        it.server.end()
        await settled()
    assert shown.notes == ["opened", "answer", "closed"]
    assert outcome == [True]


async def test_a_close_that_is_said_ends_it_and_a_ping_shows_its_pong(autojump_clock: trio.testing.MockClock) -> None:
    shown = Shown()
    async with connected() as it:

        async def sayings() -> AsyncGenerator[Saying, None]:
            yield Ping(b"now")
            await settled()
            it.server.feed(peer.frame(peer.PONG, b"now", mask=None))
            await settled()
            yield Close(4000, "bye")

        it.nursery.start_soon(talk_without_end, it.ws, sayings(), shown)
        await settled()
        await trio.sleep(1)
        assert it.server.received() == [("ping", b"now"), ("close", 4000)]
        it.server.feed(close(4000))
        it.server.end()
        await settled()
    assert shown.notes == ["opened", "pong", "closed"]


async def talk_without_end(ws: WebSocket, sayings: AsyncGenerator[Saying, None], shown: Shown) -> None:
    await talk(ws, sayings, shown, wait=None)
