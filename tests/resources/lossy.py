"""A backplane that loses messages when a test says so."""

from __future__ import annotations

from typing import Any

import trio

from wsframe.backplane import Kept, MemoryBackplane, MemoryHub, Position, Told


class Lossy(MemoryBackplane):
    """Loses the messages for its node while ``losing``; answers no question while ``away``, and late if ``slow``."""

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__(hub)
        self.losing = False
        self.away = False
        self.slow = 0.0
        self.asked: list[str] = []
        """The questions so far."""
        self.told: Any = None

    async def run(self, node: str, told: Told, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        self.told = told
        await super().run(node, Filter(self, told), task_status=task_status)

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        self.asked.append("since")
        answer = None if self.away else await super().since(topic, position, limit)
        await trio.sleep(self.slow)  # of a moment ago
        return answer

    async def newest(self, topic: str) -> Position | None:
        self.asked.append("newest")
        return None if self.away else await super().newest(topic)


class Filter:
    """Passes reports on, but for the messages that are lost."""

    def __init__(self, plane: Lossy, told: Told) -> None:
        self._plane = plane
        self.wanted, self.gap, self.reach = told.wanted, told.gap, told.reach
        self._message = told.message

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        if not self._plane.losing:
            self._message(topic, payload, sender, position)


def forget(hub: MemoryHub) -> None:
    """Lose all histories, as an engine that starts again."""
    hub.open()._logs.clear()
