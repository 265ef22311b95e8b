"""Resources of a service of workers, each with its worker, and connections of bytes to them."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import ExitStack

import trio

import wsframe
from tests.workers.services import Service
from wsframe import Registry, Request, Resource, any_origin
from wsframe.workers.partitions import partition_of


class Greeting(Resource):
    def __init__(self, slot: int) -> None:
        self.slot = slot

    async def client_connected(self, client: wsframe.Client) -> None:
        client.send_text(f"worker {self.slot}")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)


class Room(Greeting):
    scope = "path"


class Lobby(Greeting):
    pass


class Feed(Greeting):
    scope = "shared"


class Slow(Lobby):
    def __init__(self, slot: int) -> None:
        super().__init__(slot)
        self.decide = trio.Event()

    async def accept_client(self, request: Request) -> None:
        await self.decide.wait()


def register(registry: Registry, slot: int) -> None:
    registry.register("/lobby", Lobby(slot), any_origin)
    registry.register("/feed", Feed(slot), any_origin)
    registry.register("/slow", Slow(slot), any_origin)
    registry.register_factory("/rooms/{room}", lambda _: Room(slot), any_origin, scope="path")

    async def hook(request: Request) -> wsframe.Response:
        return wsframe.Response(f"page of worker {slot}\n")

    registry.route("/page", hook)
    registry.route("/healthz", wsframe.healthz)


def room_of(slot: int, count: int) -> str:
    """Return the path of a room that lives in a worker."""
    paths = (f"/rooms/{number}" for number in range(10_000))
    return next(path for path in paths if partition_of(f"/rooms/{{room}}\n{path}", "path") % count == slot)


def head(path: str, *more: str) -> bytes:
    key = b64encode(bytes(16)).decode()
    lines = [f"GET {path} HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade", *more]
    return "\r\n".join([*lines, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""]).encode()


class Peer:
    """A connection of bytes."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setblocking(False)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    async def read(self, until: bytes) -> bytes:
        """Read until the bytes have come; return all."""
        while until not in self.received:
            await trio.lowlevel.wait_readable(self.sock)
            data = self.sock.recv(65536)
            if not data:
                return self.received + b"END"
            self.received += data
        return self.received

    async def status(self) -> str:
        return (await self.read(b"\r\n\r\n")).split(b" ")[1].decode()

    async def worker(self) -> int:
        """Return the number in the greeting."""
        return int((await self.read(b"worker ")).rpartition(b"worker ")[2] or await self.read_digit())

    async def read_digit(self) -> str:
        await trio.lowlevel.wait_readable(self.sock)
        return self.sock.recv(1).decode()


def address(service: Service, slot: int) -> tuple[str, int]:
    host, port = service.url(slot, "").removeprefix("ws://").split(":")
    return host, int(port)


def come(service: Service, slot: int, data: bytes, stack: ExitStack) -> Peer:
    """Come to the worker of a slot, and send bytes."""
    peer = Peer(address(service, slot))
    stack.callback(peer.sock.close)
    if data:
        peer.send(data)
    return peer
