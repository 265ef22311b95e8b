"""Proxies of other makers between our client and our server, and their health checks."""

from __future__ import annotations

import csv
import logging
import re
import socket
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import pytest
import trio

import wsframe
from tests.foreign.conversation import CODES, LIMITS, OURS, OurWebSocket, converse
from tests.foreign.peers import PROGRAMS, PROXIES, Proxy
from wsframe import Client, ConnectionClosed, Deflate, HandshakeRejected, Reject, Request, connect

PATIENCE = 60
DOCS = Path(__file__).parents[2] / "docs"

each_proxy = pytest.mark.parametrize("peer", [pytest.param(proxy, id=proxy.name) for proxy in PROXIES])


class Talker(wsframe.Resource):
    """Does what this package asks of a program."""

    limits = LIMITS
    deflate = Deflate.dedicated()

    async def received_text(self, client: Client, message: str) -> None:
        if message.startswith("!close"):
            _, code, reason = message.split(" ", 2)
            client.close(int(code), reason)
        elif message == "!forwarded":
            client.send_text(", ".join(client.request.headers.getall("X-Forwarded-For")))
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


@asynccontextmanager
async def behind(proxy: Proxy, place: Path) -> AsyncIterator[str]:
    """Run our server with the proxy in front; yield the proxy's ``HOST:PORT``."""
    registry = wsframe.Registry()
    registry.register("/echo", Talker())
    registry.register("/refusing", Refusing())
    routes = wsframe.http_routes({"/healthz": wsframe.healthz, "/readyz": wsframe.readyz})
    with trio.fail_after(PATIENCE):
        async with wsframe.open_server(registry, port=0, http_handler=routes) as server:
            target = server.addresses[0].rpartition(":")[2]
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            config = place / proxy.config
            config.write_text(configured(proxy, {"PORT": str(port), "TARGET": target, "PLACE": str(place)}))
            command = [part.format(config=config, place=place, port=port) for part in proxy.command]
            process = await trio.lowlevel.open_process(command, stdout=DEVNULL, stderr=DEVNULL)
            try:
                await until_answered(process, port)
                yield f"127.0.0.1:{port}"
            finally:
                process.terminate()
                with trio.CancelScope(shield=True):
                    await process.wait()


def configured(proxy: Proxy, values: dict[str, str]) -> str:
    """Fill the configuration in; the lines that our documentation shows for it take the place of ``SHOWN``."""
    text = (PROGRAMS / proxy.config).read_text()
    if proxy.shown_in is not None:
        page, first = proxy.shown_in
        block = re.search(
            rf"\.\. code-block:: \w+\n\n((?:    .*\n|\n)*    *{first}(?:    .*\n|\n)*)", (DOCS / page).read_text()
        )
        assert block is not None
        shown = block[1].replace("127.0.0.1:8000", f"127.0.0.1:{values['TARGET']}").replace("chat.example", "localhost")
        text = text.replace("SHOWN", textwrap.dedent(shown))
    for name, value in values.items():
        text = text.replace(name, value)
    return text


async def until_answered(process: trio.Process, port: int) -> None:
    while True:
        assert process.poll() is None, f"the proxy ended with {process.returncode}"
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
        else:
            await stream.aclose()
            return


async def get(address: str, path: str) -> tuple[int, str]:
    """Ask for a page; return its status and its body."""
    host, port = address.split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b"".join([bytes(part) async for part in stream]).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def checked(page: str) -> dict[str, tuple[str, str]]:
    """Take the state of each server and of its last check from the statistics of HAProxy."""
    rows = csv.DictReader(page[page.index("# pxname") + 2 :].splitlines())
    return {row["pxname"]: (row["status"], row["check_status"]) for row in rows if row["svname"] == "one"}


@each_proxy
async def test_messages_and_closing_pass_through(peer: Proxy, tmp_path: Path) -> None:
    async with behind(peer, tmp_path) as address:
        for deflate in (None, Deflate.dedicated(threshold=0)):
            async with connect(f"ws://{address}/echo", deflate=deflate, limits=LIMITS) as ws:
                await converse(OurWebSocket(ws), {})
                await ws.close(*OURS)
            assert ws.closed_cleanly
            assert bool(ws.extensions) is (deflate is not None)
        for code in CODES:
            async with connect(f"ws://{address}/echo") as ws:
                await ws.send(f"!close {code} {OURS[1]}")
                with pytest.raises(ConnectionClosed) as caught:
                    await ws.receive()
            assert caught.value.received == (code, OURS[1])


@each_proxy
async def test_a_refusal_and_a_page_pass_through(peer: Proxy, tmp_path: Path) -> None:
    async with behind(peer, tmp_path) as address:
        for _ in range(3):
            with pytest.raises(HandshakeRejected) as caught:
                async with connect(f"ws://{address}/refusing"):
                    pass
            assert (caught.value.status, caught.value.body) == (401, b"log in first\n")
            assert caught.value.headers.get("WWW-Authenticate") == "Basic realm=x"
        with pytest.raises(HandshakeRejected) as caught:
            async with connect(f"ws://{address}/nowhere"):
                pass
        assert caught.value.status == 404
        assert (await get(address, "/healthz"))[0] == 200


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("peer", [pytest.param(proxy, id=name) for proxy in PROXIES if proxy.name == name])


@only("nginx")
async def test_nobody_forges_an_address_past_nginx_as_we_show_it(peer: Proxy, tmp_path: Path) -> None:
    async with (
        behind(peer, tmp_path) as address,
        connect(f"ws://{address}/echo", headers=[("X-Forwarded-For", "192.0.2.1")]) as ws,
    ):
        await ws.send("!forwarded")
        assert await ws.receive() == "127.0.0.1"


@only("haproxy")
async def test_health_checks_find_the_server_up_and_leave_no_line(
    peer: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wanted = {"chat": ("UP", "L7OK"), "http10": ("UP", "L7OK"), "connect": ("UP", "L4OK")}
    async with behind(peer, tmp_path) as address:
        caplog.clear()
        found: dict[str, tuple[str, str]] = {}
        while found != wanted:
            await trio.sleep(0.1)
            found = checked((await get(address, "/haproxy;csv"))[1])
        for _ in range(10):
            await trio.sleep(0.1)
        lines = [record.getMessage() for record in caplog.records]
    assert lines == []
