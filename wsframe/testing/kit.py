"""A server for tests, without a network, and the clients that a test connects to it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import inf
from typing import Any, TypedDict, TypeVar, Unpack, cast

import trio
from trio.testing import wait_all_tasks_blocked

from wsframe.resources.registry import Registry
from wsframe.resources.resource import Resource
from wsframe.resources.server import Server
from wsframe.server.engine import holds_cancelled
from wsframe.server.options import ServeKeywords
from wsframe.server.run import open_server
from wsframe.testing.client import NO_CLOSE_FRAME, ClientClosed, Closed, MemoryClient
from wsframe.testing.handshake import Answer, Exchange, HeaderFields, replaced, upgrade_fields
from wsframe.testing.memory_sockets import BUFFER, MemoryNetwork, MemorySocket
from wsframe.testing.raw_client import Line
from wsframe.user_code import only_leaf

__all__ = ["ClientOptions", "Kit", "OpenOptions", "Target", "open_client", "open_kit", "registry_for"]

Target = Resource[Any] | Registry
"""What is tested: one resource, or a registry of several."""

LineT = TypeVar("LineT", bound=Line)

# As browsers offer it.
OFFER = "permessage-deflate; client_max_window_bits"
PATIENCE = 60.0
# For all clients to close in order at the end of a test; those that cannot are reset.
GOODBYE = 5.0

NO_NETWORK = ("host", "port", "sockets", "unix", "ssl_context", "poller")


class ClientOptions(TypedDict, total=False):
    """The options of :meth:`Kit.connect`, where they are described."""

    headers: HeaderFields
    origin: str | None
    subprotocols: Iterable[str]
    extensions: str | None
    address: str
    buffer: int
    octets_per_second: float
    patience: float


class OpenOptions(ServeKeywords, ClientOptions, total=False):
    """The options of :func:`open_client`: those of a server and those of a client."""


class Kit:
    """A running server in memory; made by :func:`open_kit`."""

    def __init__(self, server: Server, network: MemoryNetwork, nursery: trio.Nursery, path: str) -> None:
        self.server = server
        """The server, as :func:`wsframe.open_server` gives it."""
        self._network = network
        self._nursery = nursery
        self._path = path
        self._lines: list[Line] = []

    async def connect(
        self,
        path: str | None = None,
        *,
        headers: HeaderFields = (),
        origin: str | None = None,
        subprotocols: Iterable[str] = (),
        extensions: str | None = OFFER,
        address: str = "127.0.0.1",
        buffer: int = BUFFER,
        octets_per_second: float = inf,
        patience: float = PATIENCE,
    ) -> MemoryClient:
        """Connect a client, do its opening handshake and let ``client_connected`` have its turn.

        When this returns every task waits for something: the hook has been called, and has
        ended unless it waits.

        Args:
            path: The target, with its query; None is the path of the kit's resource.
            headers: More header fields; one of the handshake's own is replaced.
            origin: The page's origin; None sends none, as most clients that are no browser.
            subprotocols: Those offered.
            extensions: The offer of extensions; the default offers compression, as browsers do,
                and gets it if the server or the resource has it. None offers nothing.
            address: The client's IP address, as the server sees it.
            buffer: Octets that each kernel buffer of the connection holds, both sides, both
                directions: one that stalls is sent twice as much before its outbox fills.
            octets_per_second: What it reads of trio's clock's second once it is connected; 0 is a
                client that stalls from the beginning.
            patience: Seconds that anything is waited for; then trio.TooSlowError is raised.

        Raises:
            Refused: If the server answers anything but 101.
            ClientClosed: If it ends the connection without an answer.
        """
        fields = upgrade_fields(headers, origin=origin, subprotocols=subprotocols, extensions=extensions)
        client = self._dial(MemoryClient, address, buffer, patience)
        await client.open(self._path if path is None else path, fields, octets_per_second)
        await wait_all_tasks_blocked()
        return client

    def dial(self, *, address: str = "127.0.0.1", buffer: int = BUFFER, patience: float = PATIENCE) -> Line:
        """Connect and say nothing: for a handshake that is slow, wrong or not HTTP at all."""
        return self._dial(Line, address, buffer, patience)

    async def request(self, path: str, *, method: str = "GET", headers: HeaderFields = ()) -> Answer:
        """Make an HTTP request that asks for no WebSocket, as for a page or a health check; return the answer.

        Raises:
            ClientClosed: If there is none.
        """
        exchange = Exchange(path, replaced([("Host", "localhost")], headers), method)
        line = self.dial()
        line.send_octets(exchange.octets)
        answer = None
        while answer is None:
            octets = await line.receive_octets()
            if not octets:
                raise ClientClosed(Closed(NO_CLOSE_FRAME, ""))
            answer = exchange.receive(octets)
        line.hang_up()
        return answer

    def _dial(self, kind: Callable[[MemorySocket, float], LineT], address: str, buffer: int, patience: float) -> LineT:
        line = kind(self._network.connect(address, buffer), patience)
        self._lines.append(line)
        self._nursery.start_soon(line.run)
        return line

    async def leave(self) -> None:
        """End every connection: in order where the client would, else by a reset."""
        leaving = [line for line in self._lines if isinstance(line, MemoryClient) and line.polite]
        for client in leaving:
            if not client.close_sent:
                client.close()
        with trio.move_on_after(GOODBYE):
            for client in leaving:
                await client.ended()
        self.reset_all()

    def reset_all(self) -> None:
        """Reset every connection that there still is."""
        for line in self._lines:
            line.reset()


def registry_for(target: Target, path: str) -> Registry:
    """Return the registry to serve: the one given, or one with the resource at ``path``."""
    if isinstance(target, Registry):
        return target
    registry = Registry(alone=True)
    registry.register(path.partition("?")[0], target)
    return registry


def refuse_network(options: ServeKeywords) -> None:
    for name in NO_NETWORK:
        if name in options:
            raise TypeError(f"{name}= is for a network: the testing kit has none")


@asynccontextmanager
async def open_kit(target: Target, path: str = "/", **options: Unpack[ServeKeywords]) -> AsyncIterator[Kit]:
    """Serve a resource or a registry in memory while the body of an ``async with`` runs.

    The server is the one of production, with another kind of socket: the same admission,
    reactor, links and listeners. Nothing happens in real time: with trio's autojump clock every
    timeout, ping and slow reader takes no time at all, and the same each time. When the body is
    left, the clients close and the server drains.

    Args:
        target: The resource or the registry to be tested. With a resource nothing else is served;
            the global registry answers what a registry does not, unless it is ``alone``.
        path: Where a resource is registered, and what clients connect to by default.
        options: Those of :func:`wsframe.serve`, but for those that name a network.

    Yields:
        The :class:`Kit`.

    Raises:
        TypeError: For an option that names a network.
    """
    refuse_network(options)
    network = MemoryNetwork()
    options["sockets"] = [cast(socket.socket, network.listener)]  # it has what is asked of one that listens
    options["poller"] = network.make_poller
    failure: BaseException | None = None
    try:
        async with open_server(registry_for(target, path), **options) as server, trio.open_nursery() as nursery:
            kit = Kit(server, network, nursery, path)
            try:
                yield kit
                await kit.leave()
            except BaseException as error:
                if holds_cancelled(error):
                    raise
                failure = error
                kit.reset_all()
            nursery.cancel_scope.cancel()
    except BaseException as error:
        if holds_cancelled(error):
            raise
        raise failure or only_leaf(error) from None
    if failure is not None:
        raise failure


@asynccontextmanager
async def open_client(target: Target, path: str = "/", **options: Unpack[OpenOptions]) -> AsyncIterator[MemoryClient]:
    """Serve as :func:`open_kit` does, with one client connected.

    Args:
        target: The resource or the registry to be tested.
        path: What the client connects to, with its query. A resource is registered there.
        options: Those of :meth:`Kit.connect` and those of :func:`open_kit`.

    Yields:
        The :class:`MemoryClient`.

    Raises:
        Refused: If the server answers anything but 101.
    """
    connect = {name: value for name, value in options.items() if name in ClientOptions.__annotations__}
    serve = {name: value for name, value in options.items() if name not in connect}
    async with open_kit(target, path, **cast(ServeKeywords, serve)) as kit:
        yield await kit.connect(path, **cast(ClientOptions, connect))
