"""Where a test serves: with which poller, plain or over TLS; and the fixtures for it."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Unpack

import pytest
import trio
import trustme

import wsframe
from tests.patience import PATIENCE
from tests.pollers import POLLERS
from tests.wire import Answer, Peer, until
from wsframe.net.poller import PollerName

__all__ = ["BOUND", "Certificates", "Place", "Recorder", "Served", "until"]


BOUND = PATIENCE
"""Seconds no test comes near unless something hangs."""


@dataclass(frozen=True)
class Certificates:
    """The TLS contexts of one test run."""

    server: ssl.SSLContext
    client: ssl.SSLContext


class Recorder(wsframe.Resource):
    """Echoes text; notes its hooks; on ``wait`` its hook waits for the gate."""

    def __init__(self) -> None:
        self.log: list[str] = []
        """``+``, ``-`` with the close code, and messages, as the hooks came."""
        self.arrived: list[wsframe.Client] = []
        self.gate = trio.Event()
        self._changed = trio.Event()

    def note(self, entry: str) -> None:
        """Note something, and have :meth:`until` look again."""
        self.log.append(entry)
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on the notes holds."""
        while not condition():
            await self._changed.wait()

    async def client_connected(self, client: wsframe.Client) -> None:
        self.arrived.append(client)
        self.note("+")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.note(message)
        if message == "wait":
            await self.gate.wait()
        client.send_text(message)

    async def disconnected(self, client: wsframe.Client) -> None:
        self.note(f"-{client.close_code}")


class Served:
    """A running server and the peers a test has opened to it."""

    def __init__(self, server: wsframe.Server, tls: ssl.SSLContext | None) -> None:
        self.server = server
        self.peers: list[Peer] = []
        self._tls = tls
        host, _, port = server.addresses[0].rpartition(":")
        self.address = host.partition("://")[2].strip("[]"), int(port)

    async def connect(self, *, receive_buffer: int | None = None, plain: bool = False) -> Peer:
        """Open a connection, with its TLS handshake unless it is to be plain."""
        sock = trio.socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await sock.connect(self.address)
            stream = trio.SocketStream(sock)
            if self._tls is None or plain:
                peer = Peer(stream)
            else:
                secure = trio.SSLStream(stream, self._tls, server_hostname="127.0.0.1", https_compatible=True)
                await secure.do_handshake()
                peer = Peer(secure)
        except BaseException:
            sock.close()
            raise
        self.peers.append(peer)
        return peer

    async def open(self, path: str = "/", *, receive_buffer: int | None = None, **changes: str | None) -> Peer:
        """Open a WebSocket."""
        peer = await self.connect(receive_buffer=receive_buffer)
        answer = await peer.upgrade(path, **changes)
        assert answer.status == 101, answer
        return peer

    async def ask(self, *pieces: bytes) -> Answer:
        """Send a request in pieces, and hang up after its answer."""
        peer = await self.connect()
        await peer.send(*pieces)
        answer = await peer.answer()
        peer.hang_up()
        return answer

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        await until(lambda: not any(self.server.statistics()[:3]))


@dataclass(frozen=True)
class Place:
    """A poller and, or not, TLS."""

    poller: PollerName
    tls: Certificates | None

    @asynccontextmanager
    async def serve(
        self, *resources: wsframe.Resource[Any], **options: Unpack[wsframe.ServeKeywords]
    ) -> AsyncIterator[Served]:
        """Serve the first resource at ``/``, the others at ``/1``, ``/2``; peers end before the server does."""
        registry = wsframe.Registry()
        for number, resource in enumerate(resources):
            registry.register(f"/{number or ''}", resource, wsframe.any_origin)
        async with self.serve_registry(registry, **options) as served:
            yield served

    @asynccontextmanager
    async def serve_registry(
        self, registry: wsframe.Registry, **options: Unpack[wsframe.ServeKeywords]
    ) -> AsyncIterator[Served]:
        """Serve a registry at a free port."""
        options.setdefault("port", 0)
        options["poller"] = self.poller
        if self.tls is not None:
            options["ssl_context"] = self.tls.server
        with trio.fail_after(BOUND):
            async with wsframe.open_server(registry, **options) as server:
                served = Served(server, self.tls.client if self.tls else None)
                try:
                    yield served
                finally:
                    for peer in served.peers:
                        peer.reset()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """An authority that the clients trust, and a certificate of it for the server."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost", "::1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)


@pytest.fixture(params=POLLERS)
def plain(request: pytest.FixtureRequest) -> Place:
    """Each poller, without TLS."""
    return Place(request.param, None)


@pytest.fixture(params=POLLERS)
def secure(request: pytest.FixtureRequest, certificates: Certificates) -> Place:
    """Each poller, over TLS."""
    return Place(request.param, certificates)


@pytest.fixture(
    params=[(poller, tls) for poller in POLLERS for tls in (False, True)],
    ids=lambda p: f"{p[0]}-{'tls' if p[1] else 'plain'}",
)
def place(request: pytest.FixtureRequest, certificates: Certificates) -> Place:
    """Each poller, with and without TLS."""
    poller, tls = request.param
    return Place(poller, certificates if tls else None)


@pytest.fixture
def info(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The log lines of wsframe so far, of INFO and above, of troubles: no address, and no end with a close frame.

    Of the end of a connection only the beginning of its line.
    """
    caplog.set_level(logging.INFO, "wsframe")

    def lines() -> list[str]:
        records = [record for record in caplog.records if record.name.startswith("wsframe")]
        records = [record for record in records if getattr(record, "code", 1006) in OURS]
        lines = [record.getMessage().partition(" after ")[0] for record in records]
        return [line for line in lines if not line.startswith("serving at") and " has taken " not in line]

    return lines


OURS = (1002, 1006, 1007, 1009)
"""Codes of ends without the peer's close frame."""
