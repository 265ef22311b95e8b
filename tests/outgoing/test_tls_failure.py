"""TLS of outgoing connections: certificates of either side, and errors that say what to change."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

import wsframe
from tests.certificates import make_contexts, trusting, write_certificate
from tests.outgoing.places import listening, serving
from wsframe import Certificate, HandshakeFailed, Headers, connect


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def failure(url: str, **options: Any) -> BaseException:
    """Return the error of a connection that cannot be made."""
    with trio.fail_after(60), pytest.raises((OSError, HandshakeFailed)) as caught:
        await connect(url, **options).__aenter__()
    return caught.value


async def test_the_certificate_of_the_server_is_on_the_connection(authority: trustme.CA, tmp_path: Path) -> None:
    certificate = write_certificate(authority, tmp_path, "a", "127.0.0.1", "a.example")
    async with serving(certificates=certificate) as server:
        async with connect(f"{server.addresses[0]}/echo", ssl_context=trusting(authority)) as ws:
            described = ws.peer_certificate
            assert described is not None
            assert ("DNS", "a.example") in described["subjectAltName"]
            der = ws.peer_certificate_der
            assert der is not None
            assert b"a.example" in der
        assert ws.peer_certificate == described, "and after its end"
        unchecked = ssl._create_unverified_context()
        async with connect(f"{server.addresses[0]}/echo", ssl_context=unchecked) as ws:
            assert (ws.peer_certificate, ws.peer_certificate_der) == (None, der)
    async with serving() as server, connect(f"{server.addresses[0]}/echo") as ws:
        assert (ws.peer_certificate, ws.peer_certificate_der) == (None, None)


@pytest.fixture
def asking(authority: trustme.CA, tmp_path: Path) -> dict[str, Any]:
    """The options of a server that asks for certificates."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = write_certificate(authority, tmp_path, "server", "127.0.0.1")
    return {"certificates": certificate, "client_ca": tmp_path / "ca.pem"}


async def test_a_certificate_of_ours_is_shown_and_a_renewed_one_too(
    authority: trustme.CA, asking: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    mine = write_certificate(authority, tmp_path, "me", "me.example")
    seen: list[Any] = []

    async def page(request: wsframe.Request) -> wsframe.Response:
        seen.append(request.peer_certificate and request.peer_certificate["subjectAltName"][0][1])
        return wsframe.Response("")

    async with serving(http_handler=page, **asking) as server:
        async with connect(f"{server.addresses[0]}/echo", certificate=mine) as ws:
            await ws.send("hello")
            assert await ws.receive() == "hello"
        again = connect(f"{server.addresses[0]}/echo", certificate=mine)
        write_certificate(authority, tmp_path, "me", "renewed.example")
        async with again as ws:
            await ws.send("hello")
            assert await ws.receive() == "hello"


async def test_a_server_that_asks_for_a_certificate_is_told_by_its_error(
    authority: trustme.CA, asking: dict[str, Any]
) -> None:
    async with serving(**asking) as server:
        error = await failure(f"{server.addresses[0]}/echo", ssl_context=trusting(authority))
    if isinstance(error, ssl.SSLError):  # else the reset came first
        assert "the server asks for a certificate of ours: give certificate=" in str(error)


@pytest.mark.parametrize(
    ("certificate", "error", "words"),
    [
        (Certificate(certfile="/nowhere"), OSError, "cannot read /nowhere"),
        (Certificate(certfile=__file__), ValueError, "has no certificate"),
        ("chain.pem", TypeError, "certificate must be Certificate or None, not 'chain.pem'"),
    ],
)
def test_a_certificate_that_cannot_be_shown_is_told_where_it_is_given(
    certificate: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        connect("wss://127.0.0.1/", certificate=certificate)


def test_a_certificate_beside_a_context_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    mine = write_certificate(authority, tmp_path, "me", "me.example")
    with pytest.raises(ValueError, match="give certificate or ssl_context, not both"):
        connect("wss://127.0.0.1/", certificate=mine, ssl_context=trusting(authority))


@pytest.mark.parametrize(("location", "kept"), [("/other", True), ("wss://elsewhere.example/", False)])
def test_another_origin_does_not_get_our_certificate(
    authority: trustme.CA, tmp_path: Path, location: str, kept: bool
) -> None:
    mine = write_certificate(authority, tmp_path, "me", "me.example")
    plan = connect("wss://a.example/", certificate=mine)._connector._plan
    followed = plan.follow(wsframe.HandshakeRejected(307, Headers([("location", location)]), b""))
    assert followed is not None
    assert (followed.certificate is mine) is kept


async def test_h2_agreed_on_by_alpn_is_named() -> None:
    server_side, client_side = make_contexts()
    server_side.set_alpn_protocols(["h2"])
    client_side.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(ssl_context=server_side) as server:
        error = await failure(f"{server.addresses[0]}/echo", ssl_context=client_side)
    assert isinstance(error, HandshakeFailed)
    assert "agreed on h2 by ALPN, and a WebSocket needs HTTP/1.1" in str(error)


async def test_a_client_of_ours_never_agrees_on_h2_by_itself(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(ssl_context=context) as server, connect(f"{server.addresses[0]}/echo") as ws:
        assert ws._tls is not None
        assert ws._tls.alpn == "http/1.1"


async def test_tls_on_a_port_without_it_is_named() -> None:
    async with serving() as server:
        error = await failure(server.addresses[0].replace("ws:", "wss:"))
    assert isinstance(error, ssl.SSLError)
    assert "the server answers without TLS at this port: is the URL ws:// instead of wss://?" in str(error)


async def test_a_url_without_tls_for_a_port_with_it_is_named_by_our_server() -> None:
    server_side, _ = make_contexts()
    async with serving(ssl_context=server_side) as server:
        error = await failure(server.addresses[0].replace("wss:", "ws:"))
    assert str(error) == "the server answered 400: this port speaks https"


def sending(octets: bytes) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(octets)

    return handle


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "the answer is TLS, not HTTP: is the URL wss:// instead of ws://?"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), "the answer is HTTP/2, and a WebSocket needs HTTP/1.1"),
    ],
)
async def test_an_answer_of_another_protocol_is_named(octets: bytes, words: str) -> None:
    async with listening(sending(octets)) as port:
        error = await failure(f"ws://127.0.0.1:{port}/")
    assert isinstance(error, HandshakeFailed)
    assert str(error) == words


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answers without TLS at this port"),
        (b"HTTP/1.0 302 Found\r\nLocation: https://portal.example/\r\n\r\n", "answers without TLS at this port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks another protocol than TLS at this port"),
        (b"", "ended the connection during the TLS handshake: does it speak TLS at this port?"),
    ],
)
async def test_a_server_without_tls_is_named(octets: bytes, words: str) -> None:
    async with listening(sending(octets)) as port:
        error = await failure(f"wss://127.0.0.1:{port}/")
    assert isinstance(error, ssl.SSLError)
    assert f"the server {words}" in str(error)


async def test_a_certificate_that_is_not_trusted_keeps_its_error(authority: trustme.CA, tmp_path: Path) -> None:
    async with serving(certificates=write_certificate(authority, tmp_path, "a", "127.0.0.1")) as server:
        error = await failure(server.addresses[0], ssl_context=trusting(trustme.CA()))
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert error.verify_message
