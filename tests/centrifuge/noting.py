"""A resource of Centrifugo's protocol that notes its calls."""

from __future__ import annotations

from typing import Any

from wsframe import Client
from wsframe.centrifuge import (
    CentrifugeResource,
    Connected,
    Published,
    Subscribed,
)


class Noting(CentrifugeResource):
    """Notes its calls, and answers as it is told."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[Any, ...]] = []

    def _answer(self, hook: str, *arguments: Any) -> Any:
        self.calls.append((hook, *arguments))
        answer = self.answers.get(hook)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def connecting(self, client: Client, token: str, data: object) -> Connected | None:
        answer: Connected | None = self._answer("connecting", token, data)
        return answer

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        answer: Subscribed | None = self._answer("subscribing", channel, data)
        return answer

    async def publishing(self, client: Client, channel: str, data: object) -> Published | None:
        answer: Published | None = self._answer("publishing", channel, data)
        return answer

    async def rpc(self, client: Client, method: str, data: object) -> object:
        return self._answer("rpc", method, data)

    async def unsubscribed(self, client: Client, channel: str) -> None:
        self._answer("unsubscribed", channel)
