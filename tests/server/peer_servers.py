"""Two servers that share resources, each with a peer port, and connections of bytes to them."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import trio

import wsframe
from tests.patience import PATIENCE
from tests.server.worker_rooms import head
from wsframe import Client, Registry, Request, Resource, Response
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.net.client_facts import ClientFacts
from wsframe.net.peer_header import sealed
from wsframe.server.local_server import LocalServer
from wsframe.server.ownership.partition_owner import PartitionOwner
from wsframe.server.peering import Peering

BOUND = PATIENCE


class Room(Resource):
    """Says where it lives and which clients have come."""

    scope = "path"

    def __init__(self, server: str, ends: list[int | None]) -> None:
        self.by = server
        self.ends = ends

    async def client_connected(self, client: Client) -> None:
        request = client.request
        client.send_text(f"{self.by} {request.host} {request.port} {request.secure}")

    async def received_text(self, client: Client, message: str) -> None:
        if message == "abort":
            client.abort()
        elif message == "flood":
            for _ in range(12):
                client.send_binary(bytes(65536))
        else:
            client.send_text(message)

    async def disconnected(self, client: Client) -> None:
        self.ends.append(client.close_code)


class Nodes:
    """Servers of one service, each with a peer port."""

    def __init__(self) -> None:
        self.servers: dict[str, wsframe.Server] = {}
        self.ends: list[int | None] = []

    def local(self, name: str) -> LocalServer:
        found = self.servers[name]._internals
        assert isinstance(found, LocalServer)
        return found

    def owner(self, name: str) -> PartitionOwner:
        found = self.local(name).owner
        assert found is not None
        return found

    def peering(self, name: str) -> Peering:
        found = self.local(name).peering
        assert found is not None
        return found

    def url(self, name: str, path: str = "/room/red") -> str:
        return self.servers[name].addresses[0] + path

    def partition(self, path: str = "/room/red") -> int:
        residence = self.local("a").roster.whereabouts.named(path)
        assert residence is not None
        return residence.partition

    @asynccontextmanager
    async def raw(
        self, name: str, path: str = "/room/red", receives: int = 0, more: str = "Host: localhost"
    ) -> AsyncIterator[trio.SocketStream]:
        """Come to a server and be let in, without a client's manners."""
        async with await stream_to(self.servers[name].addresses[0], receives) as stream:
            await stream.send_all(head(path).replace(b"Host: a", more.encode()))
            yield stream

    async def until(self, name: str, count: int) -> None:
        """Wait until a server carries so many connections."""
        while len(self.peering(name).splices) != count:  # noqa: ASYNC110
            await trio.sleep(0.002)


async def stream_to(url: str, receives: int = 0) -> trio.SocketStream:
    """Connect to a server, with a receive buffer of so many bytes, if given."""
    host, port = url.rpartition("/")[2].split(":")
    sock = trio.socket.socket()
    if receives:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    await sock.connect((host, int(port)))
    return trio.SocketStream(sock)


async def end_of(websocket: wsframe.WebSocket) -> int | None:
    """Return the close code of the end, which comes now."""
    with suppress(wsframe.ConnectionClosed):
        await websocket.receive()
    return websocket.close_code


async def read(stream: trio.abc.ReceiveStream, until: bytes) -> bytes:
    received = b""
    while until not in received:
        data = await stream.receive_some(65536)
        if not data:
            return received + b"END"
        received += data
    return received


@asynccontextmanager
async def nodes(context: ssl.SSLContext | None = None, trusted_proxies: Sequence[str] = ()) -> AsyncIterator[Nodes]:
    """Serve with two servers; ``a`` has all partitions."""
    found, hub = Nodes(), MemoryHub()

    def registry(name: str) -> Registry:
        registry = Registry(alone=True)
        make = lambda request: Room(name, found.ends)  # noqa: E731
        registry.register_factory("/room/{name}", make, wsframe.any_origin, scope="path")
        registry.register("/one", Room(name, found.ends), wsframe.any_origin)

        async def page(request: Request) -> Response:
            return Response(f"page of {name} for {request.host}\n")

        registry.route("/page", page)
        return registry

    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry("a"), port=0, backplane=MemoryBackplane(hub)) as found.servers["a"]:
            owner = found.owner("a")
            while len(owner.owned.here) < 256:  # noqa: ASYNC110
                await trio.sleep(0.01)
            owner.giving._share_one = trio.lowlevel.checkpoint  # type: ignore[method-assign]
            async with wsframe.open_server(
                registry("b"),
                port=0,
                backplane=MemoryBackplane(hub),
                ssl_context=context,
                trusted_proxies=trusted_proxies,
            ) as found.servers["b"]:
                name = found.local("a").topics.interest.node
                peering = found.peering("b")
                holders = found.owner("b").owned
                while not peering._keys.address_for(name) or holders.holder_of(0) != name:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                yield found


async def dial(service: Nodes, *data: bytes) -> bytes:
    """Send bytes to the peer port of ``a``, and return the answer."""
    sock = service.peering("a").port._place.sock
    async with await trio.open_tcp_stream(*sock.getsockname()[:2]) as stream:
        for part in data:
            await stream.send_all(part)
        try:
            return bytes(await stream.receive_some(100))
        except trio.BrokenResourceError:
            return b"reset"


def header(
    service: Nodes, partition: int | None = None, key: bytes | None = None, late: float = 0, nonce: bytes = b"n" * 16
) -> bytes:
    node = service.local("a").topics.interest.node
    key = key or service.peering("a")._keys.own
    wanted = service.partition() if partition is None else partition
    return sealed(ClientFacts(host="192.0.2.1", port=1), wanted, node, key, time.time() - late, nonce)
