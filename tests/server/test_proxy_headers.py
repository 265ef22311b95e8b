"""PROXY headers: a trusted proxy names its client before the request, and before TLS."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.hostile.place import Place, Recorder, until
from tests.server.test_behind_proxies import TRUSTED, Lines
from tests.wire import Peer, upgrade
from wsframe import Capacity, Client, Timeouts
from wsframe.net.proxy_protocol import ProxyHeader, encode_proxy_v2
from wsframe.testing import open_kit

V1 = b"PROXY TCP4 192.0.2.1 203.0.113.5 5000 443\r\n"
V2 = encode_proxy_v2(("192.0.2.1", 5000), ("203.0.113.5", 443), tlvs=[(1, b"http/1.1"), (5, b"id")])
UNKNOWN = b"PROXY UNKNOWN\r\n"
LOCAL = encode_proxy_v2(None)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
async def test_a_proxy_header_comes_over_a_unix_socket_too(tmp_path: Path) -> None:
    resource, registry = Recorder(), wsframe.Registry()
    registry.register("/", resource)
    path = str(tmp_path / "socket")
    async with (
        wsframe.open_server(registry, unix=path, trusted_proxies=["unix"], proxy_protocol="required"),
        await trio.open_unix_socket(path) as stream,
    ):
        await stream.send_all(V2 + upgrade())
        await resource.until(lambda: resource.arrived)
        assert (resource.arrived[0].host, resource.arrived[0].port) == ("192.0.2.1", 5000)


async def opened(peer: Peer, resource: Recorder, header: bytes, *, forwarded: str | None = None) -> Client:
    """Open a WebSocket behind a PROXY header; return the client that the hooks see."""
    before = len(resource.arrived)
    await peer.send(header, upgrade(changes={"X-Forwarded-For": forwarded}))
    answer = await peer.head()
    assert answer.status == 101, answer
    await resource.until(lambda: len(resource.arrived) > before)
    return resource.arrived[-1]


async def test_a_proxy_header_names_the_client(plain: Place) -> None:
    resource = Recorder()
    async with plain.serve(resource, trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        first, second = [await opened(await served.connect(), resource, header) for header in (V1, V2)]
        for client in (first, second):
            assert (client.host, client.port, client.request.secure) == ("192.0.2.1", 5000, False)
        assert first.request.proxy == ProxyHeader(version=1, client=("192.0.2.1", 5000), server=("203.0.113.5", 443))
        assert second.request.proxy is not None
        assert (second.request.proxy.alpn, second.request.proxy.unique_id) == ("http/1.1", b"id")


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n\r\n"])
async def test_a_proxy_header_comes_in_any_pieces_and_empty_lines_behind_it(plain: Place, between: bytes) -> None:
    resource = Recorder()
    async with plain.serve(resource, trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        for header in (V1, V2):
            peer = await served.connect()
            peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire_bytes = header + between + upgrade()
            for place in range(len(wire_bytes)):
                await peer.send(wire_bytes[place : place + 1])
                await trio.lowlevel.checkpoint()
            assert (await peer.head()).status == 101
        await resource.until(lambda: len(resource.arrived) == 2)
        assert [client.port for client in resource.arrived] == [5000, 5000]


@pytest.mark.parametrize("together", [True, False])
async def test_a_proxy_header_stands_before_tls(secure: Place, monkeypatch: pytest.MonkeyPatch, together: bool) -> None:
    """In one segment with the first bytes of TLS, or in one of its own."""
    resource = Recorder()
    assert secure.tls is not None
    async with secure.serve(resource, trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        raw = await served.connect(plain=True)
        assert isinstance(raw.stream, trio.SocketStream)
        if together:
            send_all, first = raw.stream.send_all, [V2]

            async def with_header(data: bytes) -> None:
                await send_all((first.pop() if first else b"") + data)

            monkeypatch.setattr(raw.stream, "send_all", with_header)
        else:
            await raw.send(V2)
        stream = trio.SSLStream(raw.stream, secure.tls.client, server_hostname="127.0.0.1", https_compatible=True)
        peer = Peer(stream)
        assert (await peer.upgrade()).status == 101
        await resource.until(lambda: resource.arrived)
        assert (resource.arrived[0].host, resource.arrived[0].request.secure) == ("192.0.2.1", True)


async def test_the_tls_of_the_proxy_makes_a_request_secure(plain: Place) -> None:
    resource = Recorder()
    tls = (0x20, bytes((7, 0, 0, 0, 0)) + b"\x22\0\3Ann")
    header = encode_proxy_v2(("192.0.2.1", 5000), tlvs=[tls], with_checksum=True)
    async with plain.serve(resource, trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        request = (await opened(await served.connect(), resource, header)).request
        assert request.secure
        assert request.proxy is not None
        assert request.proxy.tls is not None
        assert request.proxy.tls.client_name == "Ann"


async def test_a_client_behind_the_proxy_protocol_cannot_forge_fields(plain: Place) -> None:
    """The proxy passes its bytes on: fields count only of a client that is a trusted proxy, and of the proxy itself."""
    resource = Recorder()
    trusted = [*TRUSTED, "203.0.113.0/24"]
    outer = encode_proxy_v2(("203.0.113.9", 5000))
    async with plain.serve(resource, trusted_proxies=trusted, proxy_protocol="required") as served:
        forged = "198.51.100.1"
        for header, host in [(V1, "192.0.2.1"), (UNKNOWN, "127.0.0.1"), (outer, forged), (LOCAL, forged)]:
            client = await opened(await served.connect(), resource, header, forwarded=forged)
            assert client.host == host, header


WRONG = {
    "none": (b"", "it begins with b'GET / HTTP/1.1"),
    "malformed": (b"PROXY TCP4 x\r\n", "is not PROXY, TCP4"),
    "a v2 too long": (encode_proxy_v2(None)[:13] + b"\0\xff\xff", "65551 bytes, of 8192 at most"),
}


@pytest.mark.parametrize(("header", "reason"), WRONG.values(), ids=WRONG)
async def test_a_wrong_header_ends_the_connection_with_one_line(
    place: Place, info: Lines, header: bytes, reason: str
) -> None:
    async with place.serve(Recorder(), trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        peer = await served.connect(plain=True)
        await peer.send(header, upgrade())
        assert await nothing_comes(peer)
        (line,) = info()
        assert line.startswith(f"{peer.name}: no PROXY header of a proxy: ")
        assert reason in line
        # Nothing is lost for the next.
        await served.idle()
        assert served.server.statistics().refused == 1


async def nothing_comes(peer: Peer) -> bool:
    """Wait for the end; return whether there was nothing before it."""
    try:
        return not await peer.more()
    except (trio.BrokenResourceError, OSError):
        return not peer.received


async def test_a_header_of_somebody_else_is_not_taken(plain: Place, info: Lines) -> None:
    trusted = ["192.0.2.0/24", "unix"]
    async with plain.serve(Recorder(), trusted_proxies=trusted, proxy_protocol="required") as served:
        peer = await served.connect()
        await peer.send(V1, upgrade())
        assert await nothing_comes(peer)
        assert info() == [f"{peer.name}: no PROXY header of a proxy: it is not one of trusted_proxies"]


async def test_a_header_is_never_guessed(plain: Place, info: Lines) -> None:
    async with plain.serve(Recorder(), trusted_proxies=TRUSTED) as served:
        peer = await served.connect()
        await peer.send(V1, upgrade())
        assert (await peer.answer()).status == 400
    assert "refused with 400: a PROXY header stands where the request is expected" in info()[0]


async def test_a_second_header_is_not_one(plain: Place) -> None:
    resource = Recorder()
    async with plain.serve(resource, trusted_proxies=[*TRUSTED, "192.0.2.1"], proxy_protocol="required") as served:
        peer = await served.connect()
        await peer.send(V1, V1, upgrade())
        assert (await peer.answer()).status == 400
        assert resource.arrived == []


@pytest.mark.parametrize("sent", [b"", LOCAL, V1])
async def test_a_probe_that_leaves_at_once_leaves_no_line(place: Place, info: Lines, sent: bytes) -> None:
    """A health check that only connects, with a header of its own or without."""
    async with place.serve(Recorder(), trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        peer = await served.connect(plain=True)
        await peer.send(sent)
        peer.half_close()
        assert await nothing_comes(peer) or place.tls is not None
        await served.idle()
        assert info() == []


async def test_half_a_header_has_a_line(plain: Place, info: Lines) -> None:
    async with plain.serve(Recorder(), trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        peer = await served.connect()
        await peer.send(V2[:20])
        peer.half_close()
        assert await nothing_comes(peer)
        assert info() == [f"{peer.name}: gone before its request was whole"]


async def test_the_deadline_of_the_handshake_covers_the_header(autojump_clock: MockClock, info: Lines) -> None:
    async with open_kit(
        Recorder(), trusted_proxies=TRUSTED, proxy_protocol="required", timeouts=Timeouts(handshake=3)
    ) as kit:
        line = kit.dial()
        line.send_bytes(V2[:20])
        began = trio.current_time()
        await line.ended()
        assert trio.current_time() - began == pytest.approx(3, abs=1.5)
    assert ["408" in one for one in info()] == [True]


async def test_the_limit_of_newcomers_covers_those_without_a_header(autojump_clock: MockClock) -> None:
    capacity = Capacity(max_pending_handshakes=2)
    async with open_kit(Recorder(), trusted_proxies=TRUSTED, proxy_protocol="required", capacity=capacity) as kit:
        slow = [kit.dial() for _ in range(2)]
        for line in slow:
            line.send_bytes(b"PROXY ")
        other = kit.dial()
        other.send_bytes(V1 + upgrade())
        assert b" 101 " in await other.receive_bytes()
        assert [await line.ended() for line in slow]


async def test_wrong_headers_are_few_lines_however_many_they_are(
    plain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    async with plain.serve(Recorder(), trusted_proxies=TRUSTED, proxy_protocol="required") as served:
        for _ in range(60):
            peer = await served.connect()
            await peer.send(b"GET / HTTP/1.0\r\n\r\n")
            peer.half_close()
            await nothing_comes(peer)
            peer.hang_up()
        await until(lambda: served.server.statistics().refused == 60)
    lines = [record.getMessage() for record in caplog.records if "no PROXY header" in record.getMessage()]
    assert len(lines) < 60
    assert any("more like it" in line for line in lines)


async def test_one_address_takes_proxy_headers_and_the_others_do_not() -> None:
    resource = Recorder()
    registry = wsframe.Registry(alone=True)
    registry.register("/", resource)
    async with wsframe.open_server(
        registry, bind=["127.0.0.1:0", "proxy:127.0.0.1:0"], trusted_proxies=TRUSTED
    ) as server:
        direct, proxied = (int(address.rpartition(":")[2]) for address in server.addresses)
        for port, header, host in ((direct, b"", "127.0.0.1"), (proxied, V1, "192.0.2.1")):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(header + upgrade())
                assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 101")
                await resource.until(lambda: bool(resource.arrived))
                assert resource.arrived.pop().host == host
        async with await trio.open_tcp_stream("127.0.0.1", direct) as stream:
            await stream.send_all(V1 + upgrade())
            assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 400")
        async with await trio.open_tcp_stream("127.0.0.1", proxied) as stream:
            await stream.send_all(upgrade())
            assert await stream.receive_some(4096) == b""


@pytest.mark.parametrize("bind", ["proxy:127.0.0.1:0", ["127.0.0.1:0", "plain:proxy:unix:/run/x"]])
def test_an_address_with_proxy_headers_needs_proxies_to_trust(bind: str | list[str]) -> None:
    with pytest.raises(ValueError, match="proxy_protocol needs trusted_proxies"):
        wsframe.ServeOptions(bind=bind)
