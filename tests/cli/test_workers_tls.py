"""``wsframe serve --workers`` with TLS: real processes, Python's TLS and OpenSSL's own client."""

from __future__ import annotations

import signal
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.certificates import for_threads, trusting, write_certificate
from tests.cli.workers import Service, eventually, service
from tests.patience import PATIENCE
from tests.requirements import require

TARGET = """
import wsframe


class Chat(wsframe.Resource):
    async def client_connected(self, client):
        fields = client.request.peer_certificate or {}
        name = dict(part[0] for part in fields.get("subject", ())).get("organizationName")
        client.send_text(f"{client.request.host} {client.request.secure} {name}")

    async def received_text(self, client, message):
        self.broadcast_text(message)

    async def received_binary(self, client, message):
        client.send_binary(message)


wsframe.register_global_resource("/chat", Chat(), wsframe.any_origin)
"""

SERVE = (
    *("-m", "wsframe", "serve", "chat.py", "--port", "0", "--workers", "2", "--client-ca", "ca.pem"),
    *("--tls-cert", "a.pem", "--tls-key", "a.key", "--tls-cert", "b.pem", "--tls-key", "b.key"),
)


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    write_certificate(made, tmp_path, "a", "a.example", "127.0.0.1")
    write_certificate(made, tmp_path, "b", "b.example")
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "chat.py").write_text(TARGET)
    return made


def member(authority: trustme.CA) -> ssl.SSLContext:
    context = trusting(authority)
    authority.issue_cert("client.example", organization_name="Members").configure_cert(context)
    return context


def port_of(running: Service) -> int:
    return int(running.until("Serving at").split()[2].rpartition(":")[2])


def open_chat(port: int, context: ssl.SSLContext, name: str = "a.example") -> ClientConnection:
    url = f"wss://127.0.0.1:{port}/chat"
    client: ClientConnection = connect(
        url, ssl=for_threads(context), server_hostname=name, open_timeout=PATIENCE, proxy=None, max_size=None
    )
    return client


def test_echo_and_chat_with_certificates_of_both_sides(tmp_path: Path, authority: trustme.CA) -> None:
    context = member(authority)
    with service(tmp_path, *SERVE) as running, ExitStack() as stack:
        port = port_of(running)
        clients = [stack.enter_context(open_chat(port, context, name)) for name in ("a.example", "b.example") * 3]
        for client, name in zip(clients, ("a.example", "b.example") * 3, strict=True):
            assert client.recv(PATIENCE) == "127.0.0.1 True Members"
            found = client.socket.getpeercert()  # type: ignore[attr-defined]
            assert ("DNS", name) in found["subjectAltName"]
        for client in clients:
            client.send("hello")
            assert [other.recv(PATIENCE) for other in clients] == ["hello"] * len(clients)
        data = bytes(range(256)) * 2048
        for client in clients:
            client.send(data)
        for client in clients:
            assert client.recv(PATIENCE) == data
        running.process.send_signal(signal.SIGTERM)
        for client in clients:
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert client.close_code == 1001
        assert running.end() == 0


def test_openssl_speaks_to_the_workers(tmp_path: Path, authority: trustme.CA) -> None:
    openssl = require("openssl")
    with service(tmp_path, *SERVE, "--client-certificates", "optional") as running:
        port = port_of(running)
        asked = subprocess.run(
            [openssl, "s_client", "-quiet", "-verify_return_error", "-CAfile", "ca.pem", "-servername", "b.example",
             "-verify_hostname", "b.example", "-connect", f"127.0.0.1:{port}"],
            cwd=tmp_path, input=b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        assert asked.stdout.startswith(b"HTTP/1.1 426 "), asked.stderr


def test_sighup_restarts_the_workers_which_read_the_certificates_again(tmp_path: Path, authority: trustme.CA) -> None:
    context = member(authority)
    with service(tmp_path, *SERVE) as running:
        port = port_of(running)
        first = running.workers()
        with open_chat(port, context) as client:
            client.recv(PATIENCE)
            write_certificate(authority, tmp_path, "a", "a.example", "new.example")
            running.process.send_signal(signal.SIGHUP)
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert client.close_code == 1012
        eventually(lambda: len(first & running.workers()) <= 1)  # the relay stays
        with open_chat(port, context, "new.example") as client:
            assert client.recv(PATIENCE) == "127.0.0.1 True Members"
