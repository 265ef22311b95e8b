"""An echo server over real sockets, with each poller, plain and over TLS."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

import wsframe
from wsframe.net.poller import PollerName


class Echo(wsframe.Resource):
    """Sends every message back; the text ``close`` is answered by closing."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "close":
            client.close(4001, "as you wish")
        else:
            client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


@dataclass(frozen=True)
class Tls:
    """The certificates of one test run: the server's, and the root that a client must trust."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    authority_file: Path


@dataclass(frozen=True)
class Served:
    """A running server, as its clients see it."""

    address: str
    """Such as ``ws://127.0.0.1:1234`` or ``wss://127.0.0.1:1234``."""
    tls: Tls | None

    @property
    def client_context(self) -> ssl.SSLContext | None:
        """The value of ``ssl=`` for a client."""
        return self.tls.client if self.tls else None


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    authority_file = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_file))
    return Tls(server, client, authority_file)


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> Tls | None:
    chosen: Tls | None = request.getfixturevalue("certificates") if request.param == "tls" else None
    return chosen


@pytest.fixture
async def served(poller: PollerName, tls: Tls | None) -> AsyncIterator[Served]:
    registry = wsframe.Registry()
    registry.register("/echo", Echo(), wsframe.any_origin)
    registry.register("/exact", Echo(), wsframe.origin_exact("https://example.com"))
    context = tls.server if tls else None
    async with wsframe.open_server(registry=registry, port=0, ssl_context=context, poller=poller) as server:
        yield Served(server.addresses[0], tls)
