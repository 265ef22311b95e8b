"""The server's certificates: chosen by name, read again without dropping anybody, and those of clients."""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

import wsframe
from tests.certificates import Handshake, trusting, write_certificate
from tests.hostile.place import BOUND, Recorder
from wsframe import Certificate
from wsframe.server.tls import ServerTLS

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def three(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> ServerTLS:
    folder = tmp_path_factory.mktemp("three")
    return ServerTLS(
        [
            write_certificate(authority, folder, "a", "a.example"),
            write_certificate(authority, folder, "b", "*.b.example", "b.example"),
            write_certificate(authority, folder, "c", "xn--bcher-kva.example", "deep.b.example", "a.example"),
        ]
    )


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("b.example", "*.b.example"),
        ("x.b.example", "*.b.example"),
        ("X.B.EXAMPLE", "*.b.example"),
        ("y.x.b.example", "a.example"),
        ("deep.b.example", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("unknown.example", "a.example"),
        ("x.b.example.", "*.b.example"),
        ("localhost", "a.example"),
        ("example", "a.example"),
        ("127.0.0.1", "a.example"),
        (None, "a.example"),
    ],
)
def test_the_certificate_is_the_one_for_the_name_that_the_client_asks_for(
    authority: trustme.CA, three: ServerTLS, asked: str | None, shown: str
) -> None:
    client = trusting(authority)
    client.check_hostname = False
    assert Handshake(three.context_for, client, asked).names[0] == shown


@pytest.mark.parametrize("raw", [b"\xff.example", b"\0.example", b"*.example", b".........", b"*.b.examp"])
def test_a_name_that_is_no_name_gets_the_first_certificate_and_harms_nobody(
    authority: trustme.CA, three: ServerTLS, raw: bytes
) -> None:
    """Another name in the ClientHello breaks the handshake later on, for the client has not seen it."""
    client = trusting(authority)
    with pytest.raises(ssl.SSLError):
        Handshake(three.context_for, client, "w.example", change=lambda data: data.replace(b"w.example", raw))
    assert Handshake(three.context_for, client, "x.b.example").names[0] == "*.b.example"


def test_with_one_certificate_no_byte_is_waited_for(authority: trustme.CA, tmp_path: Path) -> None:
    tls = ServerTLS([write_certificate(authority, tmp_path, "a", "a.example")])
    assert tls.context_for(b"") is not None


def test_with_several_the_whole_client_hello_is_waited_for(three: ServerTLS) -> None:
    assert three.context_for(b"") is None
    assert three.context_for(b"\x16\x03\x01\x02\x00\x01") is None
    assert three.context_for(b"GET / HTTP/1.1\r\n") is not None, "OpenSSL answers it"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("asked", ["a.example", "x.b.example"])
def test_sessions_are_resumed_by_their_tickets(
    authority: trustme.CA, three: ServerTLS, version: ssl.TLSVersion, asked: str
) -> None:
    client = trusting(authority)
    client.maximum_version = version
    first = Handshake(three.context_for, client, asked)
    assert first.client.session_reused is False
    again = Handshake(three.context_for, client, asked, first.client.session)
    assert again.client.session_reused


def test_http_1_1_is_agreed_on_by_alpn_and_h2_never(authority: trustme.CA, three: ServerTLS) -> None:
    for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)):
        client = trusting(authority)
        if offered:
            client.set_alpn_protocols(offered)
        assert Handshake(three.context_for, client, "a.example").client.selected_alpn_protocol() == agreed


def test_reloading_shows_the_new_certificate_to_newcomers(authority: trustme.CA, tmp_path: Path) -> None:
    tls = ServerTLS([write_certificate(authority, tmp_path, "a", "a.example", "old.example")])
    before = Handshake(tls.context_for, trusting(authority), "a.example")
    write_certificate(authority, tmp_path, "a", "a.example", "new.example")
    changed = [tls.changed]
    assert tls.reload()
    changed.append(tls.changed)
    assert changed == [True, False]
    after = Handshake(tls.context_for, trusting(authority), "a.example")
    assert (before.names[1], after.names[1]) == ("old.example", "new.example")


def spoil(folder: Path, how: str, authority: trustme.CA) -> None:
    """Break the files of the certificate ``a``."""
    other = trustme.CA().issue_cert("a.example")
    if how == "the key is replaced first":
        (folder / "a.key").write_bytes(other.private_key_pem.bytes())
    elif how == "the certificate is replaced first":
        (folder / "a.pem").write_bytes(other.cert_chain_pems[0].bytes())
    elif how == "half a certificate":
        (folder / "a.pem").write_bytes((folder / "a.pem").read_bytes()[:300])
    elif how == "an empty file":
        (folder / "a.key").write_bytes(b"")
    elif how == "a missing file":
        (folder / "a.pem").unlink()
    elif how == "a folder":
        (folder / "a.key").unlink()
        (folder / "a.key").mkdir()
    else:
        (folder / "ca.pem").write_text("rubbish")


SPOILT = {
    "the key is replaced first": "the key does not belong to the certificate",
    "the certificate is replaced first": "the key does not belong to the certificate",
    "half a certificate": "a part is malformed",
    "an empty file": "a.key has no private key",
    "a missing file": "a.pem: No such file or directory",
    "a folder": "a.key: Is a directory",
    "rubbish for the authorities": "ca.pem: expected certificates of authorities in PEM",
}


@pytest.mark.parametrize(("how", "words"), SPOILT.items())
def test_after_a_failed_reload_the_old_certificate_stays_and_one_line_says_why(
    authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, words: str
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ServerTLS(
        [write_certificate(authority, tmp_path, "a", "a.example")], tmp_path / "ca.pem", client_certificates="optional"
    )
    spoil(tmp_path, how, authority)
    assert not tls.reload()
    assert not tls.changed, "it is read again only when it changes again"
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("the certificates are not reloaded, and the old ones stay: ")
    assert words in record.getMessage()
    assert Handshake(tls.context_for, trusting(authority), "a.example").names == ["a.example"]


def test_files_are_found_again_from_another_folder(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_certificate(authority, tmp_path, "a", "a.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.chdir(tmp_path)
    tls = ServerTLS([Certificate(certfile="a.pem", keyfile="a.key")], "ca.pem")
    monkeypatch.chdir("/")
    assert tls.reload()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_place_of_a_file_holds_nobody_up(
    authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = ServerTLS([write_certificate(authority, tmp_path, "a", "a.example")])
    (tmp_path / "a.key").unlink()
    os.mkfifo(tmp_path / "a.key")
    assert not tls.reload()
    assert "it is not a regular file, and is read more than once" in caplog.records[-1].getMessage()


def test_a_certificate_of_another_time_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    for number, (before, after, words) in enumerate(
        (
            (None, LONG_AGO, "has expired on 2001-01-01"),
            (datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC), None, "is not valid before 2999-01-01"),
        )
    ):
        made = authority.issue_cert("a.example", not_before=before, not_after=after)
        path = tmp_path / f"{number}.pem"
        made.private_key_and_cert_chain_pem.write_to_path(path)
        ServerTLS([Certificate(certfile=path)])
        assert words in caplog.records[-1].getMessage()
        assert caplog.records[-1].levelname == "WARNING"


def test_a_chain_with_an_authority_of_another_time_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients refuse it, and the server's own certificate has years left."""
    authority = trustme.CA()
    own, old = authority.issue_cert("a.example"), authority.issue_cert("old.example", not_after=LONG_AGO)
    path = tmp_path / "chain.pem"
    own.private_key_and_cert_chain_pem.write_to_path(path)
    tls = ServerTLS([Certificate(certfile=path)])
    assert not caplog.records
    for chain in ([authority.cert_pem, old.cert_chain_pems[0]], [old.cert_chain_pems[0], authority.cert_pem]):
        own.private_key_and_cert_chain_pem.write_to_path(path)
        for one in chain:
            one.write_to_path(path, append=True)
        assert tls.reload()
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        expected = f"an authority in the chain of the certificate {path} has expired on 2001-01-01"
        assert warning.getMessage() == expected
        caplog.clear()


class Members(Recorder):
    """Lets in clients with a certificate, or without; notes it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, Any]] = []

    async def accept_client(self, request: wsframe.Request) -> None:
        self.seen.append((request.peer_certificate, request.peer_certificate_der))


def loaded(authority: trustme.CA, issuer: trustme.CA | None, **options: Any) -> ssl.SSLContext:
    """Make a client's context with a certificate of an issuer in it."""
    context = trusting(authority)
    if issuer is not None:
        issuer.issue_cert("ann@a.example", **options).configure_cert(context)
    return context


async def enter(server: wsframe.Server, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    """Connect as a WebSocket client; raises where the server ends TLS instead."""
    port = int(server.addresses[0].rpartition(":")[2])
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=context, https_compatible=True)
    try:
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
    except BaseException:
        stream.transport_stream.socket.close()
        raise
    return stream


def options_for(authority: trustme.CA, folder: Path, choice: Any = "required") -> wsframe.ServeKeywords:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = write_certificate(authority, folder, "server", "127.0.0.1")
    return {"port": 0, "certificates": certificate, "client_ca": folder / "ca.pem", "client_certificates": choice}


def registry_of(resource: wsframe.Resource[Any]) -> wsframe.Registry:
    registry = wsframe.Registry(alone=True)
    registry.register("/", resource, wsframe.any_origin)
    return registry


async def test_the_certificate_of_a_client_is_on_its_request(authority: trustme.CA, tmp_path: Path) -> None:
    resource = Members()
    context = loaded(authority, authority)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry_of(resource), **options_for(authority, tmp_path)) as server:
            stream = await enter(server, context)
            await resource.until(lambda: resource.arrived)
            await stream.aclose()
    ((described, der),) = resource.seen
    assert described["subjectAltName"] == (("email", "ann@a.example"),)
    assert {*described} >= {"subject", "issuer", "serialNumber", "notBefore", "notAfter"}
    assert b"ann@a.example" in der
    request = resource.arrived[0].request
    assert (request.peer_certificate, request.peer_certificate_der) == (described, der), "and later on client.request"


@pytest.mark.parametrize(
    ("choice", "issuer", "lets_in"),
    [
        ("required", "none", False),
        ("required", "other", False),
        ("optional", "none", True),
        ("optional", "other", False),
    ],
)
async def test_who_shows_no_certificate_or_one_that_is_not_trusted(
    authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture, choice: str, issuer: str, lets_in: bool
) -> None:
    resource = Members()
    caplog.set_level("INFO", "wsframe")
    context = loaded(authority, {"none": None, "other": trustme.CA()}[issuer])
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry_of(resource), **options_for(authority, tmp_path, choice)) as server:
            if lets_in:
                await (await enter(server, context)).aclose()
            else:
                with pytest.raises(trio.BrokenResourceError):
                    await enter(server, context)
    assert resource.seen == ([(None, None)] if lets_in else [])
    lines = [record.getMessage() for record in caplog.records if "TLS handshake failed" in record.getMessage()]
    assert len(lines) == (0 if lets_in else 1)


async def test_an_expired_certificate_of_a_client_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    context = loaded(authority, authority, not_after=LONG_AGO)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(
            registry_of(Members()), **options_for(authority, tmp_path, "optional")
        ) as server:
            with pytest.raises(trio.BrokenResourceError):
                await enter(server, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_still_has_the_certificate_of_the_client(
    authority: trustme.CA, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ServerTLS([write_certificate(authority, tmp_path, "a", "a.example")], tmp_path / "ca.pem")
    client = loaded(authority, authority)
    client.maximum_version = version
    first = Handshake(tls.context_for, client, "a.example")
    again = Handshake(tls.context_for, client, "a.example", first.client.session)
    assert again.client.session_reused
    assert again.server.getpeercert() == first.server.getpeercert() != {}
    assert again.server.getpeercert(binary_form=True) == first.server.getpeercert(binary_form=True)


async def test_a_reload_drops_nobody(authority: trustme.CA, tmp_path: Path) -> None:
    resource = Recorder()
    certificate = write_certificate(authority, tmp_path, "server", "127.0.0.1")
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry_of(resource), port=0, certificates=[certificate]) as server:
            url = server.addresses[0]
            async with wsframe.connect(url, ssl_context=trusting(authority)) as before:
                other = trustme.CA()
                write_certificate(other, tmp_path, "server", "127.0.0.1")
                assert server.reload_certificates()
                await before.send("still here")
                assert await before.receive() == "still here"
                async with wsframe.connect(url, ssl_context=trusting(other)) as after:
                    await after.send("new")
                    assert await after.receive() == "new"
                with pytest.raises(ssl.SSLCertVerificationError):
                    await wsframe.connect(url, ssl_context=trusting(authority)).__aenter__()


async def test_without_certificates_from_files_nothing_is_reloaded() -> None:
    async with wsframe.open_server(wsframe.Registry(alone=True), port=0) as server:
        assert not server.reload_certificates()


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no certificate": ({"certificates": []}, ValueError, "has none"),
    "a path": ({"certificates": "chain.pem"}, TypeError, "certificates is a wsframe.Certificate, such as"),
    "paths": ({"certificates": ["chain.pem"]}, TypeError, "'chain.pem' of type str is not a wsframe.Certificate"),
    "authorities alone": ({"client_ca": "ca.pem"}, ValueError, "client_ca= needs certificates="),
    "choice": ({"client_certificates": True}, ValueError, "is 'required' or 'optional', not True"),
    "both": (
        {"certificates": Certificate(certfile="a"), "ssl_context": ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)},
        ValueError, "give certificates= or ssl_context=, not both",
    ),
    "missing": ({"certificates": Certificate(certfile="/nowhere")}, OSError, "cannot read /nowhere: No such file"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "error", "words"), WRONG.values(), ids=WRONG)
async def test_options_that_can_never_serve_are_told(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await wsframe.serve(wsframe.Registry(alone=True), port=0, **options)
