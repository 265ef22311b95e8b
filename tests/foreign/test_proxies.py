"""Proxies of other makers between our client and our server, as the documents set them up, and their health checks."""

from __future__ import annotations

import csv
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT

import pytest
import trio
import trustme

import wsframe
from tests.foreign.conversation import CODES, LIMITS, OURS, OurWebSocket, converse
from tests.foreign.peers import PROGRAMS, PROXIES, Proxy
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.wire import Peer
from wsframe import Client, ConnectionClosed, Deflate, HandshakeRejected, Reject, Request, ServeOptions, connect

SHOWN = Path(__file__).parents[2] / "docs/examples/proxies"

each_proxy = pytest.mark.parametrize("peer", [pytest.param(proxy, id=proxy.name) for proxy in PROXIES])


class Talker(wsframe.Resource):
    """Does all that this package asks of a program."""

    limits = LIMITS
    deflate = Deflate.dedicated()

    async def received_text(self, client: Client, message: str) -> None:
        if message.startswith("!close"):
            _, code, reason = message.split(" ", 2)
            client.close(int(code), reason)
        elif message == "!who":
            request = client.request
            client.send_text(f"{client.host} {request.secure} {request.headers['host']}")
        elif message == "!ping":
            client.ping(b"there?")
        elif message == "!fragments":
            client.send_text("in three parts", frame_size=5)
        else:
            client.send_text(message)

    async def received_binary(self, client: Client, message: bytes) -> None:
        client.send_binary(message)

    async def received_pong(self, client: Client, payload: bytes) -> None:
        client.send_text(f"pong {payload.decode()}")


class Refusing(wsframe.Resource):
    async def accept_client(self, request: Request) -> Reject:
        return Reject(401, headers=[("WWW-Authenticate", "Basic realm=x")], body="log in first")


@dataclass
class Front:
    """A proxy that runs."""

    port: int
    status: int
    """The port of its status page, if it has one."""
    tls: ssl.SSLContext | None

    def url(self, path: str) -> str:
        """Return the URL of a path behind it."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}{path}"

    async def dial(self, address: str) -> Peer:
        """Connect from an address of this machine."""
        sock = trio.socket.socket()
        await sock.bind((address, 0))
        await sock.connect(("127.0.0.1", self.port))
        stream = trio.SocketStream(sock)
        if self.tls is None:
            return Peer(stream)
        return Peer(trio.SSLStream(stream, self.tls, server_hostname="127.0.0.1", https_compatible=True))

    async def get(self, path: str) -> tuple[int, str]:
        """Ask for a page; return its status and its body."""
        peer = await self.dial("127.0.0.1")
        await peer.send(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = await peer.answer()
        peer.hang_up()
        return answer.status, answer.text


@asynccontextmanager
async def behind(proxy: Proxy, place: Path) -> AsyncIterator[Front]:
    """Run our server with the proxy in front."""
    registry = wsframe.Registry()
    registry.register("/echo", Talker(), wsframe.any_origin)
    registry.register("/refusing", Refusing())
    registry.route("/healthz", wsframe.healthz)
    registry.route("/readyz", wsframe.readyz)
    server_tls, client_tls = certificates(place)
    options = ServeOptions(
        port=0,
        trusted_proxies=["127.0.0.1"],
        proxy_protocol="required" if proxy.protocol else None,
        ssl_context=server_tls if proxy.tls == "server" else None,
    )
    with trio.fail_after(PATIENCE):
        async with wsframe.open_server(registry, options=options) as server:
            front = Front(free_port(), free_port(), client_tls if proxy.tls else None)
            values = {
                "TARGET": server.addresses[0].rpartition(":")[2],
                "PORT": str(front.port),
                "STATUS": str(front.status),
                "PLACE": str(place),
            }
            config = place / proxy.config
            config.write_text(configured(proxy, values))
            command = [part.format(config=config, place=place, port=front.port) for part in proxy.command]
            with (place / "told").open("wb") as told:
                process = await trio.lowlevel.open_process(command, stdout=told, stderr=STDOUT)
            try:
                await until_answered(process, front.port, place / "told")
                yield front
            finally:
                process.terminate()
                with trio.CancelScope(shield=True):
                    await process.wait()


def certificates(place: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Write the certificate that proxies show; return the contexts of our server and of its clients."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(place / "chat.pem"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(place / "chat.pem")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


# Text of the documents, and its replacement here.
HERE = {
    "chat.example {": "http://:PORT {",
    "chat.example": "localhost",
    "8000": "TARGET",
    "accept = 443": "accept = 127.0.0.1:PORT",
    'host = "*"': 'host = "127.0.0.1"',
    '"443"': '"PORT"',
    "/etc/ssl/chat.pem": "PLACE/chat.pem",
}


def configured(proxy: Proxy, values: dict[str, str]) -> str:
    """Fill the configuration in, with the file that our documents show for it."""
    shown = (SHOWN / proxy.shown).read_text()
    for there, here in HERE.items():
        shown = shown.replace(there, here)
    text = (PROGRAMS / proxy.config).read_text().replace("SHOWN", shown)
    for name, value in values.items():
        text = text.replace(name, value)
    return text


async def until_answered(process: trio.Process, port: int, told: Path) -> None:
    while True:
        assert process.poll() is None, f"the proxy ended with {process.returncode}; see {told}"
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
        else:
            await stream.aclose()
            return


def checked(page: str) -> dict[str, tuple[str, str]]:
    """Take the state of each server and of its last check from the statistics of HAProxy."""
    rows = csv.DictReader(page[page.index("# pxname") + 2 :].splitlines())
    return {row["pxname"]: (row["status"], row["check_status"]) for row in rows if row["svname"] == "one"}


@each_proxy
async def test_messages_and_closing_pass_through(peer: Proxy, tmp_path: Path) -> None:
    async with behind(peer, tmp_path) as front:
        for deflate in (None, Deflate.dedicated(threshold=0)):
            async with connect(front.url("/echo"), ssl_context=front.tls, deflate=deflate, limits=LIMITS) as ws:
                await converse(OurWebSocket(ws), {})
                await ws.close(*OURS)
            assert ws.closed_cleanly
            assert bool(ws.extensions) is (deflate is not None)
        for code in CODES:
            async with connect(front.url("/echo"), ssl_context=front.tls) as ws:
                await ws.send(f"!close {code} {OURS[1]}")
                with pytest.raises(ConnectionClosed) as caught:
                    await ws.receive()
            assert caught.value.received == (code, OURS[1])


@each_proxy
async def test_a_refusal_and_a_page_pass_through(peer: Proxy, tmp_path: Path) -> None:
    async with behind(peer, tmp_path) as front:
        for _ in range(3):
            with pytest.raises(HandshakeRejected) as caught:
                async with connect(front.url("/refusing"), ssl_context=front.tls):
                    pass
            assert (caught.value.status, caught.value.body) == (401, b"log in first\n")
            assert caught.value.headers.get("WWW-Authenticate") == "Basic realm=x"
        with pytest.raises(HandshakeRejected) as caught:
            async with connect(front.url("/nowhere"), ssl_context=front.tls):
                pass
        assert caught.value.status == 404
        assert (await front.get("/healthz"))[0] == 200


FORGED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Real-IP": "198.51.100.1",
    "Forwarded": "for=198.51.100.1;proto=https;host=evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
}


@each_proxy
async def test_a_client_is_told_by_its_address_and_cannot_forge_another(peer: Proxy, tmp_path: Path) -> None:
    async with behind(peer, tmp_path) as front:
        host = f"localhost:{front.port}"
        secure = peer.secure
        for forged in ({}, FORGED):
            caller = await front.dial("127.0.0.2")  # the proxy itself calls from 127.0.0.1
            answer = await caller.upgrade("/echo", host=host, **forged)
            assert answer.status == 101, answer
            await caller.text("!who")
            assert await caller.message() == f"127.0.0.2 {secure} {host}", f"forged: {bool(forged)}"
            caller.hang_up()


haproxies = pytest.mark.parametrize(
    "peer", [pytest.param(proxy, id=proxy.name) for proxy in PROXIES if proxy.name.startswith("haproxy")]
)


@haproxies
async def test_health_checks_find_the_server_up_and_leave_no_line(
    peer: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """None of them sends a Host that our server answers to otherwise."""
    caplog.set_level(logging.INFO)
    wanted = {"chat": ("UP", "L7OK"), "connect": ("UP", "L4OK")}
    if peer.name == "haproxy":
        wanted["http11"] = ("UP", "L7OK")
    async with behind(peer, tmp_path) as front:
        status = Front(front.status, front.status, None)
        caplog.clear()
        found: dict[str, tuple[str, str]] = {}
        while found != wanted:
            await trio.sleep(0.1)
            found = checked((await status.get("/haproxy;csv"))[1])
        await trio.sleep(2.5)  # a round of checks: their interval is also the time that the first of them have
        lines = [record.getMessage() for record in caplog.records]
    assert lines == []
