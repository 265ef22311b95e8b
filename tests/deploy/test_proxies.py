"""The files of nginx and HAProxy: both programs take them, and nginx leads clients to a server."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

import wsframe
from tests.certificates import for_threads, trusting
from tests.deploy.files import DEPLOY, served_by_unit
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.requirements import require
from wsframe import Client, Registry, Resource


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def place(tmp_path: Path, authority: trustme.CA) -> Path:
    """A folder with the certificate of chat.example."""
    certificate = authority.issue_cert("chat.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "chat.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "privkey.pem"))
    for at, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(str(tmp_path / "fullchain.pem"), append=at > 0)
    return tmp_path


def test_haproxy_takes_its_file(place: Path) -> None:
    config = place / "haproxy.cfg"
    config.write_text((DEPLOY / "haproxy.cfg").read_text().replace("/etc/ssl/chat/", f"{place}/"))
    command = [require("haproxy"), "-c", "-f", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_the_proxies_wait_for_a_ping_and_its_pong() -> None:
    timeouts = served_by_unit().timeouts
    assert timeouts.ping_interval is not None
    silence = timeouts.ping_interval + timeouts.ping_timeout
    assert float(re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())[0]) > silence
    assert "timeout tunnel 1m" in (DEPLOY / "haproxy.cfg").read_text()
    assert silence < 60


def nginx_command(place: Path, port: int) -> list[str]:
    site = (DEPLOY / "nginx.conf").read_text()
    for given, here in (
        ("/etc/ssl/chat/", f"{place}/"),
        ("/run/chat.sock", f"{place}/chat.sock"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen [::]:443 ssl;", ""),
    ):
        assert given in site
        site = site.replace(given, here)
    temporary = "".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = place / "nginx.conf"
    # Its workers would be somebody who cannot enter the folder.
    user = f"user {getuser()};" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} pid {place}/nginx.pid; error_log {place}/error.log; daemon off; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{site}\n}}\n"
    )
    return [require("nginx"), "-p", str(place), "-c", str(config), "-e", str(place / "error.log")]


@contextmanager
def nginx_running(place: Path) -> Iterator[int]:
    port = free_port()
    command = nginx_command(place, port)
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not answers(port):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()


@contextmanager
def haproxy_running(place: Path, server: int, metrics: int) -> Iterator[int]:
    port = free_port()
    config = (DEPLOY / "haproxy.cfg").read_text()
    for given, here in (
        ("/etc/ssl/chat/", f"{place}/"),
        ("maxconn 20000", "maxconn 100"),  # more than it can have descriptors here
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("port 9100 check inter 2s", f"port {metrics} check inter 100ms"),
        ("192.0.2.11:8000", f"127.0.0.1:{server}"),
        ("    server two 192.0.2.12:8000\n", ""),
    ):
        assert given in config
        config = config.replace(given, here)
    path = place / "haproxy.cfg"
    path.write_text(config)
    with subprocess.Popen([require("haproxy"), "-db", "-f", str(path)], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not answers(port):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield port
        finally:
            process.kill()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


class Peers(Resource):
    async def client_connected(self, client: Client) -> None:
        client.send_text(f"{client.host} {client.request.secure} {client.request.headers['host']}")


FORGED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Real-IP": "198.51.100.1",
    "Forwarded": "for=198.51.100.1;proto=http;host=evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
}
"""Of a client, or of a proxy of its own."""


def speaks(port: int, trust: ssl.SSLContext, fields: Mapping[str, str] = {}) -> str:
    """Connect through a proxy; return the server's words about the client."""
    origin = Origin(f"https://chat.example:{port}")
    with connect(
        f"wss://chat.example:{port}/peers", sock=socket.create_connection(("127.0.0.1", port)), ssl=trust,
        server_hostname="chat.example", origin=origin, proxy=None, additional_headers=fields,
    ) as client:  # fmt: skip
        return str(client.recv(PATIENCE))


def serving_peers(**options: Any) -> AbstractContextManager[wsframe.Server]:
    registry = Registry(alone=True)
    registry.register("/peers", Peers())
    return wsframe.serving(registry, hosts=["chat.example"], **options)


def until_served(port: int, trust: ssl.SSLContext, fields: Mapping[str, str] = {}) -> str:
    """Try again while the proxy has no server."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return speaks(port, trust, fields)
        except InvalidStatus as error:
            if error.response.status_code not in (502, 503) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_clients_get_through_with_their_own_address_before_and_after_a_restart(
    proxy: str, place: Path, authority: trustme.CA
) -> None:
    """Whatever fields they send themselves: the server refuses those of which two name different clients."""
    trust = for_threads(trusting(authority))
    options: dict[str, Any] = {"unix": str(place / "chat.sock"), "trusted_proxies": ["unix"]}
    running = nginx_running(place)
    if proxy == "haproxy":
        metrics = free_port()
        options = {"port": free_port(), "metrics_port": metrics, "trusted_proxies": ["127.0.0.1"]}
        running = haproxy_running(place, options["port"], metrics)
    with running as port:
        wanted = f"127.0.0.1 True chat.example:{port}"
        for _ in range(2):
            with serving_peers(**options) as server:
                assert until_served(port, trust) == wanted
                assert until_served(port, trust, FORGED) == wanted
                server.close(lame_duck=0)
            with pytest.raises(InvalidStatus, match=r"50[23]"):
                speaks(port, trust)
