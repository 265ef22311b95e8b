"""The reports between the servers of a service, about once a second and after each change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import uniform
from typing import Any, Final

import trio

from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.resources.topics.publication import OWN
from wsframe.resources.topics.topics import Topics
from wsframe.server.ownership.other_servers import OtherServers, Report

__all__ = ["Reports"]

logger: Log = log_for(__name__)

TOPIC: Final = f"{OWN}owners"
EVERY = 1.0
OFTEN = 0.05
"""The least seconds between two reports."""


class Reports:
    """Tells the other servers about this one, and hears of them.

    Args:
        topics: Lead to the other servers.
        other_servers: Takes their reports.
        made: Makes the report of this server.
    """

    def __init__(self, topics: Topics, other_servers: OtherServers, made: Callable[[], Report]) -> None:
        self._topics = topics
        self._other_servers = other_servers
        self._made = made
        self.due: Doorbell = Doorbell()
        """Ring it after a change."""
        self.given: Callable[[], object] = lambda: None
        """Called when another server has given partitions away."""
        self.asked_to_share: Callable[[], object] = lambda: None
        """Called when another server asks all to give partitions away."""

    def tell(self, **fields: Any) -> None:
        """Report now, with other values in some fields."""
        self._topics.interest.tell(TOPIC, replace(self._made(), **fields).encoded())

    async def until_reached(self) -> None:
        """Wait until the engine is reached."""
        while not self._topics.up:  # noqa: ASYNC110
            await trio.sleep(OFTEN)

    async def run(self) -> None:
        """Report until cancelled."""
        self._topics.interest.hear(TOPIC, self._hear)
        try:
            await self.until_reached()
            self.tell(asks=True)
            while True:
                with trio.move_on_after(uniform(0.8, 1.2) * EVERY):
                    await self.due.wait()
                self.tell()
                await trio.sleep(OFTEN)
        finally:
            self._topics.interest.unhear(TOPIC)

    def _hear(self, payload: bytes) -> None:
        """Take note of the report of another server."""
        try:
            report = Report.read(payload)
        except ValueError as error:
            logger.error("a report of another server is dropped: %s", error, kind="malformed")
            return
        if report.node == self._topics.interest.node:
            return
        self._other_servers.hear(report)
        if report.asks:
            self.due.ring()
        if report.given:
            self.given()
        if report.rebalance:
            self.asked_to_share()
