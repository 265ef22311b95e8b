"""A server for tests, without a network, and the clients that tests connect to it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import inf
from typing import Any, TypedDict, TypeVar, Unpack, cast

import trio
from trio.testing import wait_all_tasks_blocked

from wsframe.protocol.payload import bytes_of
from wsframe.resources.resource import Resource
from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import Server
from wsframe.server.options import ServeKeywords
from wsframe.server.run import open_server
from wsframe.testing.client import NO_CLOSE_FRAME, ClientClosed, Closed, MemoryClient
from wsframe.testing.handshake import Answer, Exchange, HeaderFields, replaced, upgrade_fields
from wsframe.testing.memory_sockets import BUFFER, MemoryNetwork, MemorySocket
from wsframe.testing.raw_client import Line
from wsframe.user_code.errors import holds_cancelled, only_leaf

__all__ = ["ClientOptions", "Kit", "OpenOptions", "Target", "kit_on", "open_client", "open_kit", "registry_for"]

Target = Resource[Any] | Registry
"""The object under test: one resource, or a registry of several."""

LineT = TypeVar("LineT", bound=Line)

# The offer of browsers.
OFFER = "permessage-deflate; client_max_window_bits"
PATIENCE = 60.0
# Seconds for all clients to close in order at the end of a test; the kit resets the others.
GOODBYE = 5.0

NO_NETWORK = (
    *("host", "port", "sockets", "unix", "bind", "unix_mode", "unix_owner"),
    *("ssl_context", "certificates", "client_ca", "client_certificates", "poller"),
)


class ClientOptions(TypedDict, total=False):
    """The options of :meth:`Kit.connect`, which describes them."""

    headers: HeaderFields
    origin: str | None
    subprotocols: Iterable[str]
    extensions: str | None
    address: str
    buffer: int
    bytes_per_second: float
    patience: float


class OpenOptions(ServeKeywords, ClientOptions, total=False):
    """The options of :func:`open_client`: server options and client options."""


class Kit:
    """A running in-memory server; made by :func:`open_kit`."""

    def __init__(self, server: Server, network: MemoryNetwork, nursery: trio.Nursery, path: str) -> None:
        self.server = server
        """The server, as from :func:`wsframe.open_server`."""
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
        bytes_per_second: float = inf,
        patience: float = PATIENCE,
    ) -> MemoryClient:
        """Connect a client, do its opening handshake and let ``client_connected`` run.

        When this returns, every task is waiting: the hook has been called, and has ended
        unless it waits for something.

        Args:
            path: The request target, with its query; None means the path of the kit's resource.
            headers: More header fields; they replace the handshake's own fields of the same name.
            origin: The page's origin; None sends no Origin, like most clients that are not browsers.
            subprotocols: The subprotocols to offer.
            extensions: The offer of extensions; the default offers compression, as browsers do.
                The server accepts it if the server or the resource has it. None offers no extension.
            address: The client's IP address, as the server sees it.
            buffer: Bytes that each kernel buffer holds, on both sides, in both directions. A
                client that stalls is sent twice as much before its outbox fills.
            bytes_per_second: Bytes that the client reads per second of trio's clock once it is
                connected; with 0 it stalls from the beginning.
            patience: Seconds that the client's methods wait before they raise trio.TooSlowError.

        Raises:
            Refused: If the server answers with another status than 101.
            ClientClosed: If the server ends the connection without an answer.
        """
        fields = upgrade_fields(headers, origin=origin, subprotocols=subprotocols, extensions=extensions)
        client = self._dial(MemoryClient, address, buffer, patience)
        await client.open(self._path if path is None else path, fields, bytes_per_second)
        await wait_all_tasks_blocked()
        return client

    def dial(self, *, address: str = "127.0.0.1", buffer: int = BUFFER, patience: float = PATIENCE) -> Line:
        """Connect without a handshake: for tests of slow or wrong handshakes, or of bytes that are not HTTP."""
        return self._dial(Line, address, buffer, patience)

    async def request(self, path: str, *, method: str = "GET", headers: HeaderFields = (), body: bytes = b"") -> Answer:
        """Make a plain HTTP request, such as for a page or a health check, and return the answer.

        Args:
            path: The request target, with its query.
            method: The method, such as ``"POST"``.
            headers: More header fields; they replace Host.
            body: The content, sent with its length.

        Raises:
            ClientClosed: If the server does not answer.
            TypeError: For a body that is not bytes.
        """
        content = bytes_of(body, "the body of a request is bytes")
        exchange = Exchange(path, replaced([("Host", "localhost")], headers), method, content)
        line = self.dial()
        line.send_bytes(exchange.data)
        answer = None
        while answer is None:
            data = await line.receive_bytes()
            if not data:
                raise ClientClosed(Closed(NO_CLOSE_FRAME, ""))
            answer = exchange.receive(data)
        line.hang_up()
        return answer

    def _dial(self, kind: Callable[[MemorySocket, float], LineT], address: str, buffer: int, patience: float) -> LineT:
        line = kind(self._network.connect(address, buffer), patience)
        self._lines.append(line)
        self._nursery.start_soon(line.run)
        return line

    async def leave(self) -> None:
        """End every connection: in order if the client is polite, otherwise by a reset."""
        leaving = [line for line in self._lines if isinstance(line, MemoryClient) and line.polite]
        for client in leaving:
            if not client.close_sent:
                client.close()
        with trio.move_on_after(GOODBYE):
            for client in leaving:
                await client.ended()
        self.reset_all()

    def reset_all(self) -> None:
        """Reset all connections that are still open."""
        for line in self._lines:
            line.reset()


def registry_for(target: Target, path: str) -> Registry:
    """Return the registry to serve: the given one, or a new one with the resource at ``path``."""
    if isinstance(target, Registry):
        return target
    registry = Registry(alone=True)
    registry.register(path.partition("?")[0], target)
    return registry


def refuse_network(options: ServeKeywords) -> None:
    for name in NO_NETWORK:
        if name in options:
            raise TypeError(f"{name}= is for a network, which the testing kit does not have: leave it out")


@asynccontextmanager
async def open_kit(target: Target, path: str = "/", **options: Unpack[ServeKeywords]) -> AsyncIterator[Kit]:
    """Serve a resource or a registry in memory while the body of an ``async with`` runs.

    This is the production server with another kind of socket: the same admission, reactor,
    links and listeners. Nothing runs in real time: with trio's autojump clock, timeouts, pings
    and slow readers take no time and behave the same in every run. At the end of the body the
    clients close and the server drains.

    Args:
        target: The resource or the registry to test. With a resource, the server serves nothing
            else; with a registry, the global registry answers all other paths, unless the registry
            is ``alone``.
        path: The path of the resource, to which clients connect by default.
        options: The options of :func:`wsframe.serve`, except those that name a network.

    Yields:
        The :class:`Kit`.

    Raises:
        TypeError: For an option that names a network.
    """
    refuse_network(options)
    async with kit_on(MemoryNetwork(), target, path, options) as kit:
        yield kit


@asynccontextmanager
async def kit_on(network: MemoryNetwork, target: Target, path: str, options: ServeKeywords) -> AsyncIterator[Kit]:
    """Serve on a network while the body of an ``async with`` runs."""
    options["sockets"] = [cast(socket.socket, network.listener)]  # it has all methods that a listening socket needs
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
        target: The resource or the registry to test.
        path: The request target of the client, with its query. A resource is registered there.
        options: The options of :meth:`Kit.connect` and of :func:`open_kit`.

    Yields:
        The :class:`MemoryClient`.

    Raises:
        Refused: If the server answers with another status than 101.
    """
    connect = {name: value for name, value in options.items() if name in ClientOptions.__annotations__}
    serve = {name: value for name, value in options.items() if name not in connect}
    async with open_kit(target, path, **cast(ServeKeywords, serve)) as kit:
        yield await kit.connect(path, **cast(ClientOptions, connect))
