"""Addresses are read as they are written, and an error says how to write them."""

import pytest

from wsframe.net.sockets import ORDINARY, Manner
from wsframe.server.sockets.addresses import (
    InheritedAddress,
    PassedAddress,
    ServerAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)

READ: dict[str, ServerAddress] = {
    "127.0.0.1:8000": TcpAddress("127.0.0.1", 8000),
    "localhost:0": TcpAddress("localhost", 0),
    "*:443": TcpAddress(None, 443),
    "[::]:80": TcpAddress("::", 80),
    "[fe80::1%eth0]:8000": TcpAddress("fe80::1%eth0", 8000),
    "[fe80::1%25eth0]:8000": TcpAddress("fe80::1%eth0", 8000),
    "[fe80::1%4]:8000": TcpAddress("fe80::1%4", 8000),
    "[fe80::1%25]:8000": TcpAddress("fe80::1%25", 8000),
    "unix:/run/chat.sock": UnixAddress("/run/chat.sock"),
    "unix:chat:1.sock": UnixAddress("chat:1.sock"),
    "unix:@chat": UnixAddress("@chat"),
    "fd:3": InheritedAddress(3),
    "fd:web": PassedAddress("web"),
    "systemd": PassedAddress(""),
    "proxy:127.0.0.1:8000": TcpAddress("127.0.0.1", 8000, Manner(proxy_protocol=True)),
    "plain:[::1]:80": TcpAddress("::1", 80, Manner(plain=True)),
    "plain:proxy:unix:@chat": UnixAddress("@chat", Manner(proxy_protocol=True, plain=True)),
    "proxy:systemd": PassedAddress("", Manner(proxy_protocol=True)),
    "proxy:fd:3": InheritedAddress(3, Manner(proxy_protocol=True)),
    "proxy:8000": TcpAddress("proxy", 8000),
    "plain:8000": TcpAddress("plain", 8000),
}

WRONG = {
    "": "needs a port from 0 to 65535 at its end; an address is HOST:PORT",
    "8000": "needs a port",
    "localhost": "needs a port",
    "localhost:": "needs a port",
    "localhost:http": "needs a port",
    "localhost:65536": "needs a port from 0 to 65535",
    "localhost:-1": "needs a port",
    "localhost:\u0661": "needs a port",
    ":8000": r"has no host: \*:8000 for every address",
    "::1:8000": r"an IPv6 address stands in brackets, as in \[::1\]:8000",
    "[::1]": "IPv6 address stands in brackets|needs a port",
    "[localhost]:8000": "no IPv6 address in its brackets",
    "[127.0.0.1]:8000": "no IPv6 address in its brackets",
    "[fe80::1%]:8000": "needs a network interface after %",
    "ws://127.0.0.1:8000/": "an address has no scheme: '?127.0.0.1:8000'? instead of",
    "http://[::1]:80": "has no scheme",
    "/run/chat.sock": "a unix socket is written '?unix:/run/chat.sock",
    "./chat.sock": "a unix socket is written '?unix:./chat.sock",
    "@chat": "a unix socket is written '?unix:@chat",
    "unix:": "unix is the path of a socket, not ''",
    "unix:@": "unix is the path of a socket, not '@'",
    "unix:a\0b": "unix is the path",
    "fd:": "needs a number or a name",
    "fd:a\nb": "needs a number or a name",
    "proxy:": "needs a port",
    "proxy:proxy:127.0.0.1:1": "has proxy: twice",
    "proxy:localhost": "needs a port",
    "Proxy:127.0.0.1:1": "an IPv6 address stands in brackets",
    "proxy:plain:proxy:systemd": "has proxy: twice",
}


@pytest.mark.parametrize(("text", "address"), READ.items())
def test_an_address_is_read_as_written(text: str, address: ServerAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("address", READ.values(), ids=str)
def test_an_address_names_itself_so_that_it_can_be_read_again(address: ServerAddress) -> None:
    text = f"unix:{address}" if isinstance(address, UnixAddress) else str(address)
    if "%25" not in text:
        assert parse_address(text) == address._replace(manner=ORDINARY)


@pytest.mark.parametrize(("text", "words"), WRONG.items())
def test_another_text_is_refused_with_the_way_to_write_it(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_address(text)
