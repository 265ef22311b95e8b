"""Rooms that a factory makes, between which their clients move all the time."""

from random import Random

import trio

import wsframe
from tests.chaos.resources import Ledger, Waits

__all__ = ["ROOMS", "register_rooms"]

ROOMS = [f"/{kind}/{number}" for kind in ("brief", "lingering") for number in range(3)]


class Wandering(Waits):
    """Echoes, and sends clients elsewhere from hooks and from tasks that take their time to end."""

    def __init__(self, ledger: Ledger, random: Random) -> None:
        super().__init__(ledger)
        self._random = random

    async def greet(self, client: wsframe.Client) -> None:
        self.send_away(client, 0.1)

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        if client.resource is not self:
            self.ledger.faults.append(f"{client!r} is served by the resource that it was with before")
        if self._random.random() < 0.1:
            client.start_soon(self.loiter, client)
        self.send_away(client, 0.1)
        await super().take(client, message)
        self.send_away(client, 0.1)

    async def loiter(self, client: wsframe.Client) -> None:
        try:
            await trio.sleep(self._random.random() / 50)
            self.send_away(client, 0.5)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._random.random() / 200)
            self.send_away(client, 0.5)

    async def disconnected(self, client: wsframe.Client) -> None:
        if client.resource is self:
            await super().disconnected(client)
            return
        with self.ledger.hook(self, client, "disconnected") as life:
            life.connected -= 1  # it is to be connected once more
            await self.leave(client)

    def send_away(self, client: wsframe.Client, chance: float) -> None:
        if self._random.random() < chance:
            client.move_to(self._random.choice(ROOMS))


class WanderingForEach(Wandering):
    ordering = "client"


def register_rooms(registry: wsframe.Registry, ledger: Ledger) -> None:
    """Register the factories of the rooms."""
    random = Random(1)

    def make(request: wsframe.Request) -> wsframe.Resource:
        return random.choice((Wandering, WanderingForEach))(ledger, random)

    registry.register_factory("/brief/{number}", make, wsframe.any_origin)
    registry.register_factory("/lingering/{number}", make, wsframe.any_origin, linger=0.02)
