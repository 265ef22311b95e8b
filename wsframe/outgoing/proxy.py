"""Chooses the proxy of a connection: an argument, or the environment as curl and others read it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from re import escape, fullmatch
from typing import Final
from urllib.request import getproxies_environment

from wsframe.outgoing.exceptions import InvalidURL
from wsframe.outgoing.hosts import bracketed, split_zone
from wsframe.outgoing.url import Target, credentials_of, split_url

__all__ = ["ENVIRONMENT", "Proxy", "proxy_for"]

ENVIRONMENT: Final = "environment"

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy."""

    scheme: str
    """``http``, ``https``, ``socks5`` (names are resolved here) or ``socks5h`` (there)."""
    host: str
    port: int
    credentials: tuple[str, str] | None = None
    zone: str = ""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Parse the URL of a proxy; without a scheme it is an HTTP proxy.

        Raises:
            InvalidURL: If it is not one, or of an unknown kind.
        """
        parts = split_url(url if "://" in url else f"http://{url}")
        scheme = parts.scheme.lower()
        if scheme not in PORTS:
            raise InvalidURL(f"the scheme of a proxy must be http, https, socks5 or socks5h, got {scheme!r}")
        credentials = credentials_of(parts)
        if scheme.startswith("socks") and any(not word.isascii() or len(word) > 255 for word in credentials or ()):
            raise InvalidURL(
                "user and password of a SOCKS proxy must be ASCII, of at most 255 bytes each (RFC 1929 section 2)"
            )
        host, zone = split_zone(parts.hostname or "")
        return cls(scheme, host, parts.port or PORTS[scheme], credentials, zone)

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"


def proxy_for(target: Target, proxy: str | None) -> Proxy | None:
    """Return the proxy for a target; None for a direct connection.

    Args:
        target: Where the connection goes.
        proxy: The proxy's URL; None for a direct connection; :data:`ENVIRONMENT` to read
            ``HTTPS_PROXY`` (for wss), ``HTTP_PROXY`` (for ws), ``ALL_PROXY`` and ``NO_PROXY``.

    Raises:
        InvalidURL: If the proxy's URL is not one.
    """
    if proxy != ENVIRONMENT:
        return None if proxy is None else Proxy.parse(proxy)
    named = getproxies_environment()
    url = named.get("https" if target.secure else "http") or named.get("all")
    return None if not url or bypassed(target, named.get("no", "")) else Proxy.parse(url)


def bypassed(target: Target, no_proxy: str) -> bool:
    """Return whether ``NO_PROXY`` names a target, as curl reads it.

    Entries are separated by commas or spaces. Each is a name, which stands for all names below
    it too, with or without a dot before or after it; a pattern with ``*``; an address, an IPv6
    one in brackets or without; or a range such as ``10.0.0.0/8``. Each but a range can
    end in a port, which curl does not know. An entry that cannot be read is ignored.
    """
    host = target.host.removesuffix(".")
    return any(named_by(entry, host, target.port) for entry in no_proxy.lower().replace(",", " ").split())


def named_by(entry: str, host: str, port: int) -> bool:
    """Return whether one entry names a host."""
    if "/" in entry:
        return in_range(host, entry)
    name, port_named = split_port(entry)
    if port_named not in ("", str(port)):
        return False
    if "*" in name:
        return fullmatch(".*".join(map(escape, name.removesuffix(".").split("*"))), host) is not None
    try:
        name = split_zone(name.removeprefix("."))[0].removesuffix(".")
    except InvalidURL:
        return False
    return host == name or (not is_address(host) and host.endswith(f".{name}"))


def split_port(entry: str) -> tuple[str, str]:
    """Split the port off; a bare IPv6 address has none."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = entry.partition(":")
    return (entry, "") if ":" in port else (name, port)


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def in_range(host: str, entry: str) -> bool:
    """Return whether an address is in a range; a name never is, for it is not resolved here."""
    try:
        return ip_address(host) in ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
