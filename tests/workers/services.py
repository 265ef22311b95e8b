"""Services of several workers within one process: servers with their slots, doors and board, and no supervisor."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Unpack

import trio

import wsframe
from tests.patience import PATIENCE
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.server.local_server import LocalServer
from wsframe.server.options import ServeKeywords, ServeOptions
from wsframe.server.sockets.listen import Bound
from wsframe.workers.board import Board
from wsframe.workers.control_socket import make_control_sockets
from wsframe.workers.door import make_door
from wsframe.workers.orders import encode_message
from wsframe.workers.worker import Worker

BOUND = PATIENCE
"""Seconds that nothing in these tests takes."""


class Between(MemoryBackplane):
    """Links the workers of one machine, as their relay does: a partition belongs to a slot, without a lease."""

    beyond = False


class Service:
    """The workers of one service, by slot; each has a registry of its own, as each process does."""

    def __init__(self, count: int, register: Callable[[wsframe.Registry, int], object]) -> None:
        self.count = count
        self.hub = MemoryHub()
        self._closing = ExitStack()
        self.folder = self._closing.enter_context(TemporaryDirectory(prefix="wsframe-"))
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listening.setblocking(False)
        self._closing.callback(self.listening.close)
        self.doors = [make_door() for _ in range(count)]
        for door in self.doors:
            for end in door:
                self._closing.callback(end.close)
        self.board = Board.make(count)
        self._closing.callback(self.board.close)
        self.registries = [wsframe.Registry(alone=True) for _ in range(count)]
        for slot, registry in enumerate(self.registries):
            register(registry, slot)
        self.engines: dict[int, LocalServer] = {}
        self._own: dict[int, socket.socket] = {}
        self._scheme = "ws"

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listening.getsockname()
        return host, port

    def url(self, slot: int, path: str) -> str:
        """Return the URL of a path at the worker of a slot, which then accepts."""
        host, port = self._own[slot].getsockname()
        return f"{self._scheme}://{host}:{port}{path}"

    def worker(self, slot: int) -> Worker:
        """Make the worker of a slot, as its process would have inherited it."""
        supervisor, link = make_control_sockets()
        for end in (link, supervisor):
            self._closing.callback(end.close)
        supervisor.send(encode_message("accept", started=slot == 0))
        return Worker(
            slot=slot,
            count=self.count,
            generation=0,
            sockets=(self.listening,),
            doors=tuple(sending for sending, _ in self.doors),
            door=self.doors[slot][1],
            board=self.board,
            link=link,
            folder=self.folder,
        )

    def server(self, slot: int) -> wsframe.Server:
        return self.engines[slot].server

    async def start(self, slot: int, nursery: trio.Nursery, **options: Unpack[ServeKeywords]) -> wsframe.Server:
        """Start the server of a slot."""
        own = self._own[slot] = socket.create_server(("127.0.0.1", 0), backlog=1024)
        proxied = options.get("proxy_protocol") is not None
        shared = self.listening.dup()
        context = options.get("ssl_context")
        tls = None if context is None else (lambda received: context)
        self._scheme = "ws" if tls is None else "wss"
        bound = [Bound(sock=one, tls=tls, proxy_protocol=proxied, number=n) for n, one in enumerate((shared, own))]
        for one in bound:
            one.sock.setblocking(False)
            self._closing.callback(one.sock.close)
        options.setdefault("backplane", Between(self.hub))
        made = ServeOptions(**options)
        engine = LocalServer(bound, self.registries[slot], made, None, worker=self.worker(slot))
        self.engines[slot] = engine
        server: wsframe.Server = await nursery.start(engine.serve)
        return server

    def close(self) -> None:
        self._closing.close()


@asynccontextmanager
async def opened(
    count: int, register: Callable[[wsframe.Registry, int], object], **options: Unpack[ServeKeywords]
) -> AsyncIterator[Service]:
    """Serve with so many workers.

    Args:
        count: How many.
        register: Registers the resources of each, in its registry; it gets the slot too.
        options: Of each server.
    """
    service = Service(count, register)
    try:
        with trio.fail_after(BOUND):
            async with trio.open_nursery() as nursery:
                for slot in range(count):
                    await service.start(slot, nursery, **options)
                try:
                    yield service
                finally:
                    for engine in service.engines.values():
                        engine.drain()
    finally:
        service.close()
