"""A client that speaks the protocol in memory, for tests."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from wsframe.centrifuge import CentrifugeResource
from wsframe.centrifuge.replies import PING
from wsframe.testing import Kit, MemoryClient, open_kit

__all__ = ["Speaker", "connected", "speaking"]


class Speaker:
    """Sends commands and returns the replies, one line at a time."""

    def __init__(self, client: MemoryClient) -> None:
        self.client = client
        self.number = 0
        self._lines: deque[Any] = deque()
        self.skipping = False
        """Whether pushes before a reply are skipped; else they fail the test."""
        self.sizes: list[int] = []
        """Lines of each message that has come."""

    def send(self, *commands: dict[str, Any]) -> None:
        """Send commands in one message, each with the next id."""
        lines = []
        for command in commands:
            self.number += 1
            lines.append(json.dumps({"id": self.number, **command}))
        self.client.send_text("\n".join(lines))

    async def next(self) -> Any:
        """Return the next line that comes and is not a ping."""
        while not self._lines:
            text = await self.client.receive_text()
            if text == PING:
                continue
            lines = text.split("\n")
            self.sizes.append(len(lines))
            self._lines.extend(map(json.loads, lines))
        return self._lines.popleft()

    async def ask(self, method: str, /, **request: Any) -> Any:
        """Send a command, and return the result of its reply, or its error."""
        self.send({method: request})
        answer = await self.next()
        while self.skipping and "id" not in answer:
            answer = await self.next()
        assert answer.pop("id") == self.number, answer
        return answer.get("error") or answer[method]

    async def push(self) -> Any:
        """Return the next push."""
        return (await self.next())["push"]

    async def end(self) -> tuple[int, str]:
        """Return the code and the reason with which the server closes."""
        closed = await self.client.closed()
        return closed.code, closed.reason


@asynccontextmanager
async def speaking(resource: CentrifugeResource[Any]) -> AsyncIterator[Kit]:
    """Serve a resource in memory."""
    async with open_kit(resource) as kit:
        yield kit


async def connected(kit: Kit, **request: Any) -> Speaker:
    """Connect a client, and have its ``connect`` accepted."""
    speaker = Speaker(await kit.connect())
    answer = await speaker.ask("connect", **request)
    assert "client" in answer, answer
    return speaker
