"""A server behind proxies: the senders that it believes, and the addresses of clients."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trustme

import wsframe
from tests.certificates import write_certificate
from tests.hostile.place import Recorder
from tests.wire import upgrade
from wsframe import Capacity, Request, Response, same_origin
from wsframe.server.sockets.addresses import parse_address
from wsframe.server.sockets.bind import bound
from wsframe.testing import Refused, open_kit

Lines = Callable[[], list[str]]

TRUSTED = ["127.0.0.1", "::1"]
CLIENT = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-host": "chat.example"}


async def test_the_client_is_the_one_that_a_trusted_proxy_names() -> None:
    resource = Recorder()
    async with open_kit(resource, trusted_proxies=TRUSTED, hosts=["*"]) as kit:
        await kit.connect(headers=CLIENT)
        await kit.connect(headers=CLIENT, address="198.51.100.7")
        first, second = resource.arrived
        assert (first.host, first.port, first.request.secure) == ("192.0.2.1", 0, True)
        assert first.request.headers["host"] == "chat.example"
        assert repr(first) == "<Client 192.0.2.1 '/' open>"
        assert (second.host, second.request.secure) == ("198.51.100.7", False)
        assert second.request.headers["host"] == "localhost"
        assert first.request.proxy is None


async def test_without_trusted_proxies_nobody_is_believed() -> None:
    resource = Recorder()
    async with open_kit(resource) as kit:
        await kit.connect(headers=CLIENT)
        assert resource.arrived[0].host == "127.0.0.1"


async def test_hosts_and_the_origin_are_checked_against_the_host_that_the_client_asked_for() -> None:
    registry = wsframe.Registry()
    registry.register("/", Recorder(), same_origin)
    async with open_kit(registry, trusted_proxies=TRUSTED, hosts=["chat.example"]) as kit:
        await kit.connect(headers=CLIENT, origin="https://chat.example")
        with pytest.raises(Refused, match="403"):
            await kit.connect(headers=CLIENT, origin="http://chat.example")  # the client used TLS
        with pytest.raises(Refused, match="403"):
            await kit.connect(headers=CLIENT, origin="https://localhost")
        with pytest.raises(Refused, match=r"400: .* Host 'localhost'; see hosts="):
            await kit.connect(headers=CLIENT, address="198.51.100.7", origin="https://chat.example")
        with pytest.raises(Refused, match=r"400: .* Host 'evil.example'"):
            await kit.connect(headers={**CLIENT, "x-forwarded-host": "evil.example"})


async def test_clients_count_by_their_own_address(info: Lines) -> None:
    capacity = Capacity(max_clients_per_address=1)
    async with open_kit(Recorder(), trusted_proxies=TRUSTED, capacity=capacity) as kit:
        await kit.connect(headers={"X-Forwarded-For": "192.0.2.1"})
        await kit.connect(headers={"X-Forwarded-For": "192.0.2.2"})
        await kit.connect(headers={"X-Forwarded-For": "2001:db8::1"})
        for same in ("192.0.2.1:77", "::ffff:192.0.2.2", "[2001:db8::2]:1"):
            with pytest.raises(Refused, match="429"):
                await kit.connect(headers={"X-Forwarded-For": same})
        # Those that cannot be told apart share one place.
        await kit.connect(headers={"X-Forwarded-For": "unknown"})
        with pytest.raises(Refused, match="429"):
            await kit.connect(headers={"X-Forwarded-For": "garbage"})
    assert [line.partition(": ")[0] for line in info() if "429" in line][:3] == [
        "192.0.2.1:77", "192.0.2.2", "[2001:db8::2]:1",
    ]  # fmt: skip


async def test_fields_that_name_two_clients_are_refused_with_one_line(info: Lines) -> None:
    async with open_kit(Recorder(), trusted_proxies=TRUSTED) as kit:
        with pytest.raises(Refused, match=r"400: X-Forwarded-For names the client 192\.0\.2\.1, and Forwarded 192"):
            await kit.connect(headers={"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.9"})
    (line,) = info()
    assert "refused with 400: X-Forwarded-For names" in line


async def test_a_page_is_told_the_client_too() -> None:
    async def page(request: Request) -> Response:
        return Response(f"{request.host} {request.secure} {request.headers['host']}")

    async with open_kit(Recorder(), trusted_proxies=TRUSTED, hosts=["*"], http_handler=page) as kit:
        assert (await kit.request("/", headers=CLIENT)).text == "192.0.2.1 True chat.example"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
@pytest.mark.parametrize(("trusted", "host"), [(["unix"], "192.0.2.1"), (TRUSTED, "")])
async def test_the_peers_of_a_unix_socket_are_trusted_by_that_word_alone(
    tmp_path: Path, trusted: list[str], host: str
) -> None:
    resource, registry = Recorder(), wsframe.Registry()
    registry.register("/", resource)
    path = str(tmp_path / "socket")
    async with (
        wsframe.open_server(registry, unix=path, trusted_proxies=trusted),
        await trio.open_unix_socket(path) as stream,
    ):
        await stream.send_all(upgrade(changes={**CLIENT}))
        await resource.until(lambda: resource.arrived)
        assert resource.arrived[0].host == host
        assert repr(resource.arrived[0]).startswith(f"<Client {host or 'unix peer'} ")


def test_mistakes_in_the_options_are_told_at_once() -> None:
    for options, text in [
        ({"trusted_proxies": ["localhost"]}, "not 'localhost'"),
        ({"trusted_proxies": ["*"]}, "trusts every peer"),
        ({"proxy_protocol": "required"}, "proxy_protocol needs trusted_proxies"),
        ({"proxy_protocol": "v2", "trusted_proxies": ["::1"]}, "'required' or None, not 'v2'"),
    ]:
        with pytest.raises(ValueError, match=r".") as caught:
            wsframe.ServeOptions(**options)  # type: ignore[arg-type]
        assert text in str(caught.value)
    for options, text in [
        ({"trusted_proxies": "127.0.0.1"}, "trusted_proxies is a collection of addresses and networks"),
        ({"trusted_proxies": [1]}, "not 1 of type int"),
        ({"trusted_proxies": None}, "trusted_proxies is a collection"),
        ({"proxy_protocol": True}, "proxy_protocol is 'required' or None, not True"),
    ]:
        with pytest.raises(TypeError) as type_error:
            wsframe.ServeOptions(**options)  # type: ignore[arg-type]
        assert text in str(type_error.value)


@pytest.mark.parametrize("handled", [False, True])
@pytest.mark.parametrize("start", ["GET {} HTTP/1.1", "GET {} HTTP/1.0"])
async def test_a_handshake_whose_upgrade_a_proxy_dropped_is_told_so(info: Lines, handled: bool, start: str) -> None:
    """Also where a handler would answer it, as nginx makes it without ``proxy_http_version 1.1``."""

    async def page(request: Request) -> Response:
        raise AssertionError("a handshake was taken for a page")

    wire_bytes = upgrade(start=start).replace(b"Upgrade: websocket\r\n", b"").replace(b": Upgrade", b": close")
    async with open_kit(Recorder(), http_handler=page if handled else None) as kit:
        line = kit.dial()
        line.send_bytes(wire_bytes)
        assert (await line.receive_bytes()).startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    (told,) = info()
    assert "refused with 426: a WebSocket handshake came without Upgrade: websocket: the proxy in front must" in told


async def test_refusals_of_host_and_origin_say_what_to_set_behind_a_proxy(info: Lines) -> None:
    registry = wsframe.Registry()
    registry.register("/", Recorder(), same_origin)
    async with open_kit(registry) as kit:
        with pytest.raises(Refused, match=r"403: .*; see origin_exact, and behind a proxy trusted_proxies="):
            await kit.connect(origin="https://chat.example")
        with pytest.raises(Refused, match=r"400: .*; see hosts=, and behind a proxy trusted_proxies="):
            await kit.connect(headers={"Host": "chat.example"})
    assert [line.endswith("behind a proxy trusted_proxies=") for line in info()] == [True, True]


async def test_a_plain_address_has_no_tls_beside_those_that_have(tmp_path: Path) -> None:
    resource = Recorder()
    registry = wsframe.Registry(alone=True)
    registry.register("/", resource)
    certificate = write_certificate(trustme.CA(), tmp_path, "one", "localhost")
    async with wsframe.open_server(
        registry, bind=["127.0.0.1:0", "plain:127.0.0.1:0"], certificates=certificate
    ) as server:
        secure, plain = server.addresses
        assert (secure.partition(":")[0], plain.partition(":")[0]) == ("wss", "ws")
        async with await trio.open_tcp_stream("127.0.0.1", int(plain.rpartition(":")[2])) as stream:
            await stream.send_all(upgrade())
            assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 101")


def test_an_address_is_taken_once_whatever_its_manner(tmp_path: Path) -> None:
    addresses = [parse_address(f"unix:{tmp_path}/x"), parse_address(f"proxy:unix:{tmp_path}/x")]
    with pytest.raises(OSError, match="given twice"), bound(addresses, 1):
        raise AssertionError
