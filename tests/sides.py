"""The two sides of a move: resources that note the events of their clients."""

import trio

import wsframe
from tests.patience import PATIENCE
from tests.recorder import Recorder
from tests.wire import Peer
from wsframe import Client, Resource
from wsframe.resources.resource import Ordering

BOUND = PATIENCE


class Side(Recorder):
    """Notes its hooks; ``goodbye`` holds up ``disconnected``; text ``go`` moves the client to ``target``."""

    def __init__(self, target: Resource | str | None = None) -> None:
        super().__init__()
        self.target = target
        self.results: list[bool] = []
        self.goodbye = trio.Event()
        self.goodbye.set()

    async def received_text(self, client: Client, message: str) -> None:
        await super().received_text(client, message)
        if message == "go":
            assert self.target is not None
            self.results.append(client.move_to(self.target))
            assert client.resource is self
            assert client in self.clients

    async def disconnected(self, client: Client) -> None:
        assert client not in self.clients
        where = "moved" if client.resource is not self else "ended"
        self.journal.add(f"{where} {client.close_code}")
        await self.goodbye.wait()


class Target(Side):
    async def client_connected(self, client: Client) -> None:
        assert client.resource is self
        assert client in self.clients
        await super().client_connected(client)


class ByClient(Side):
    ordering: Ordering = "client"  # type: ignore[misc]


class TargetByClient(Target):
    ordering: Ordering = "client"  # type: ignore[misc]


ORDERINGS = [(Side, Target), (ByClient, Target), (Side, TargetByClient), (ByClient, TargetByClient)]


async def ended(server: wsframe.Server, *peers: Peer) -> None:
    """Let peers close their sockets, and wait until every place has been given back."""
    for peer in peers:
        await peer.stream.aclose()
    while server.statistics().reserved:  # noqa: ASYNC110
        await trio.sleep(0.005)


class Broken(Target):
    def running(self) -> trio.CancelScope:  # type: ignore[override]
        raise OSError("no database")


class BrokenByClient(Broken):
    ordering: Ordering = "client"  # type: ignore[misc]
