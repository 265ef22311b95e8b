"""Addresses to listen at, read from text: ``HOST:PORT``, ``[V6%ZONE]:PORT``, ``unix:PATH``, ``fd:N``, ``systemd``."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from wsframe.digits import whole_number
from wsframe.log import quoted
from wsframe.net.sockets import ORDINARY, Manner

__all__ = [
    "InheritedAddress",
    "PassedAddress",
    "ServerAddress",
    "TcpAddress",
    "UnixAddress",
    "check_unix_path",
    "parse_address",
]

FORMS = "HOST:PORT, *:PORT, [V6%ZONE]:PORT, unix:PATH, unix:@NAME, fd:N, fd:NAME or systemd"
MOST_DESCRIPTORS = 2**31 - 1


MANNERS = {"proxy": "proxy_protocol", "plain": "plain"}
"""The words before an address, with the option that each stands for."""


class TcpAddress(NamedTuple):
    """A host and a port; without a host every address of the machine."""

    host: str | None
    port: int
    manner: Manner = ORDINARY

    def __str__(self) -> str:
        host = "*" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class UnixAddress(NamedTuple):
    """A unix socket: a path, or an abstract name that begins with ``@`` (Linux)."""

    path: str
    manner: Manner = ORDINARY

    def __str__(self) -> str:
        return self.path


class InheritedAddress(NamedTuple):
    """A socket that the process has inherited under a number."""

    fd: int
    manner: Manner = ORDINARY

    def __str__(self) -> str:
        return f"fd:{self.fd}"


class PassedAddress(NamedTuple):
    """The sockets that systemd passes: those of one name, or with ``""`` all that no other address names."""

    name: str
    manner: Manner = ORDINARY

    def __str__(self) -> str:
        return f"fd:{self.name}" if self.name else "systemd"


ServerAddress: TypeAlias = TcpAddress | UnixAddress | InheritedAddress | PassedAddress


def parse_address(text: str) -> ServerAddress:
    """Read one address, with ``proxy:`` before it where connections begin with a PROXY header, ``plain:`` without TLS.

    Raises:
        ValueError: For a text of another form; the error says how to write it.
    """
    scheme, _, rest = text.partition(":")
    if scheme in MANNERS and (":" in rest or rest == "systemd"):  # else it is a host of this name, with its port
        address = parse_address(rest)
        if getattr(address.manner, MANNERS[scheme]):
            raise ValueError(f"{quoted(text)} has {scheme}: twice")
        return address._replace(manner=address.manner._replace(**{MANNERS[scheme]: True}))
    if text == "systemd":
        return PassedAddress("")
    if scheme == "unix":
        check_unix_path(rest)
        return UnixAddress(rest)
    if scheme == "fd":
        if not rest or not rest.isprintable():
            raise ValueError(f"{quoted(text)} needs a number or a name of systemd's, such as fd:3 or fd:web")
        fd = whole_number(rest, MOST_DESCRIPTORS)
        if fd is None and rest.isascii() and rest.isdigit():
            raise ValueError(f"{quoted(text)} is not a descriptor: its number is at most {MOST_DESCRIPTORS}")
        return PassedAddress(rest) if fd is None else InheritedAddress(fd)
    return parse_tcp(text)


def check_unix_path(path: str) -> None:
    """Check a path, or a name in Linux's abstract namespace, which begins with ``@``.

    Raises:
        ValueError: For one that cannot be bound.
    """
    if not path.removeprefix("@") or "\0" in path:
        raise ValueError(f"unix is the path of a socket, not {path!r}")


def parse_tcp(text: str) -> TcpAddress:
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if "://" in text:
        raise ValueError(f"an address has no scheme: {address_in(text)} instead of {quoted(text)}")
    if text.startswith(("/", ".", "@")) and text != "@":
        raise ValueError(f"a unix socket is written {quoted('unix:' + text)}, not {quoted(text)}")
    if not bracketed and ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, as in [::1]:8000, not {quoted(text)}")
    number = whole_number(port, 65535)
    if number is None or not colon:
        raise ValueError(f"{quoted(text)} needs a port from 0 to 65535 at its end; an address is {FORMS}")
    if not host:
        raise ValueError(f"{quoted(text)} has no host: *{text} for every address of the machine")
    return TcpAddress(with_zone(host[1:-1], text) if bracketed else None if host == "*" else host, number)


def address_in(url: str) -> str:
    """Return the address in a URL, quoted; or all forms of addresses, if there is none."""
    scheme, _, rest = url.partition("://")
    place, port = rest.partition("/")[0].rpartition("@")[2], 443 if scheme.lower() in ("https", "wss") else 80
    for address in (rest.rstrip("/"), place, f"*{place}", f"{place}:{port}", f"*:{port}" if not place else ""):
        with suppress(ValueError):
            parse_address(address)
            return quoted(address)
    return FORMS


def with_zone(host: str, text: str) -> str:
    """Check an IPv6 address; its zone can be written as in URLs (RFC 6874), after ``%25``."""
    address, percent, zone = host.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise ValueError(f"{quoted(text)} has no IPv6 address in its brackets") from None
    if percent and not zone:
        raise ValueError(f"{quoted(text)} needs a network interface after %, as in [fe80::1%eth0]:8000")
    if zone != "25":
        zone = zone.removeprefix("25")
    return f"{address}{percent}{zone}"
