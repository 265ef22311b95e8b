"""nginx in front of two servers that share resources: with the file of the documentation it asks each owner itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from getpass import getuser
from pathlib import Path

import pytest
import trio

import wsframe
from tests.documents import ROOT
from tests.ports import free_port
from tests.requirements import require
from wsframe import Client, Registry, Request, Resource, Server, connect
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.server.local_server import LocalServer
from wsframe.server.peers.splice import Splices

BOUND = 240.0
ROOMS = 20
CONFIG = (ROOT / "docs/examples/nginx-machines.conf").read_text()


class Room(Resource):
    scope = "path"

    def __init__(self, server: str) -> None:
        self.by = server

    async def client_connected(self, client: Client) -> None:
        client.send_text(f"{self.by} {client.host}")


def registry_of(server: str) -> Registry:
    def make(request: Request) -> Room:
        return Room(server)

    registry = Registry(alone=True)
    registry.register_factory("/room/{name}", make, wsframe.any_origin, scope="path")
    return registry


def local_server_of(server: Server) -> LocalServer:
    assert isinstance(server._internals, LocalServer)
    return server._internals


def splices_of(server: Server) -> Splices:
    peering = local_server_of(server).peering
    assert peering is not None
    return peering.splices


@asynccontextmanager
async def two_servers() -> AsyncIterator[list[Server]]:
    """Serve with two servers that have shared the partitions out and know each other."""
    hub, options = MemoryHub(), {"port": 0, "hosts": ["*"], "trusted_proxies": ["127.0.0.1"]}
    async with (
        wsframe.open_server(registry_of("a"), backplane=MemoryBackplane(hub), **options) as a,  # type: ignore[arg-type]
        wsframe.open_server(registry_of("b"), backplane=MemoryBackplane(hub), **options) as b,  # type: ignore[arg-type]
    ):
        owned_by_each = [owner.owned for server in (a, b) if (owner := local_server_of(server).owner) is not None]
        while sum(len(one.here) for one in owned_by_each) < 256 or not all(  # noqa: ASYNC110
            one.holder_of(partition) for one in owned_by_each for partition in range(256)
        ):
            await trio.sleep(0.02)
        for one, other in ((a, owned_by_each[1]), (b, owned_by_each[0])):
            while not splices_of(one)._keys.address_for(other.node):  # noqa: ASYNC110
                await trio.sleep(0.02)
        yield [a, b]


@asynccontextmanager
async def nginx(place: Path, servers: list[Server], config: str) -> AsyncIterator[int]:
    """Run nginx with a file in front of servers; yields its port."""
    port = free_port()
    for given, server in zip(("10.0.0.7:8000", "10.0.0.8:8000"), servers, strict=True):
        assert given in config
        config = config.replace(given, server.addresses[0].removeprefix("ws://"))
    upstream, _, locations = config.partition("# In the server")
    temporary = "".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {getuser()};" if os.geteuid() == 0 else ""
    (place / "nginx.conf").write_text(
        f"{user} pid {place}/nginx.pid; error_log {place}/error.log; daemon off; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{upstream}\nserver {{ listen 127.0.0.1:{port};\n#{locations} }} }}\n"
    )
    command = [require("nginx"), "-p", str(place), "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: ASYNC220
        try:
            while not await answers(port):
                assert process.poll() is None, (place / "error.log").read_text()
                await trio.sleep(0.02)
            yield port
        finally:
            process.terminate()


async def answers(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True


async def visit(port: int) -> set[str]:
    """Come to all rooms, twice; return the servers where they are."""
    found = set()
    for number in range(2 * ROOMS):
        async with connect(f"ws://127.0.0.1:{port}/room/{number // 2}?twice") as websocket:
            greeting = str(await websocket.receive())
            assert greeting.endswith(" 127.0.0.1")
            found.add(greeting.split()[0])
    return found


@pytest.mark.parametrize("asks", [True, False], ids=["asking the owner", "by the hash of the path alone"])
async def test_nginx_brings_clients_to_the_owner_of_their_resource(tmp_path: Path, asks: bool) -> None:
    config = CONFIG if asks else CONFIG.replace("proxy_set_header X-Wsframe-Proxy nginx;", "")
    with trio.fail_after(BOUND):
        async with two_servers() as servers, nginx(tmp_path, servers, config) as port:
            assert await visit(port) == {"a", "b"}
            spliced = sum(splices_of(server).spliced for server in servers)
            refused = sum(server.statistics().refused for server in servers)
            assert (spliced == 0) == asks
            assert (refused > 0) == asks
