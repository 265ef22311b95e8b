"""Tries of ``connect_forever``, each with an outcome of the test's choice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.outgoing.memory import Server
from wsframe import HandshakeRejected, Headers
from wsframe.http.client_handshake import Upgraded
from wsframe.outgoing import options
from wsframe.outgoing.opening import Opened, OpeningPlan

__all__ = ["Outcome", "Ready", "rejected", "scripted"]

NO_HEADERS = Headers([])


def rejected(status: int, retry_after: str | None = None) -> HandshakeRejected:
    return HandshakeRejected(status, Headers([] if retry_after is None else [("retry-after", retry_after)]), b"")


Outcome = Exception | Server
Opener = Callable[[OpeningPlan], Awaitable[Opened]]


class Ready(Server):
    """A server that sends frames and ends TCP."""

    def __init__(self, *frames: bytes) -> None:
        super().__init__()
        self.feed(*frames)
        self.end()

    def tune(self, unsent_low_water: int, write_stall: float | None) -> None:
        pass


def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """Let each try have the next outcome: an exception, or a server in memory. Waits are as long as they may be."""
    left: list[Outcome] = []

    async def fake(plan: OpeningPlan) -> Opened:
        await trio.lowlevel.checkpoint()
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Opened(
            transport=outcome,
            target=plan.target,
            request_headers=NO_HEADERS,
            upgraded=Upgraded(NO_HEADERS, None, None, b""),
        )

    monkeypatch.setattr(OpeningPlan, "open", fake)
    monkeypatch.setattr(options, "random", lambda: 1.0)
    return left
