"""Hosts as URLs write them, and as DNS, TLS and HTTP need them: names by IDNA 2008, addresses, zones."""

from __future__ import annotations

import socket
from ipaddress import AddressValueError, IPv6Address
from re import compile as pattern
from urllib.parse import unquote

import idna

from wsframe.log import escaped, quoted
from wsframe.outgoing.exceptions import InvalidURL

__all__ = ["ascii_name", "bracketed", "server_name", "split_zone", "with_zone"]

LABEL = pattern(r"[0-9a-z_~-]{1,63}")
# A name that ends in a number is an address to every browser and to inet_aton, or invalid.
NUMBER = pattern(r"[0-9]+|0x[0-9a-f]*")
ZONE = pattern(r"[0-9A-Za-z._~-]+")
# RFC 1035 section 2.3.4, without the root's dot; SOCKS and TLS allow no longer one either.
LONGEST_NAME = 253


def split_zone(written: str) -> tuple[str, str]:
    """Read the host of a URL, without brackets; return it in ASCII, and the zone of an IPv6 address or "".

    Raises:
        InvalidURL: If it is neither a name nor an address.
    """
    if ":" not in written:
        return ascii_name(decoded(written)), ""
    address, percent, zone = written.partition("%")
    if zone != "25":  # RFC 6874 writes %25, curl takes a bare % too
        zone = zone.removeprefix("25")
    if percent and not ZONE.fullmatch(zone):
        raise InvalidURL(f"{quoted(written)} needs a zone after %25, such as [fe80::1%25eth0]")
    try:
        return str(IPv6Address(address)), zone
    except AddressValueError as error:
        raise InvalidURL(f"{quoted(written)} is not an IPv6 address: {escaped(str(error))}") from None


def decoded(written: str) -> str:
    try:
        return unquote(written, errors="strict")
    except UnicodeDecodeError:
        raise InvalidURL(f"the host name {quoted(written)} has percent escapes that are not UTF-8") from None


def ascii_name(name: str) -> str:
    """Return a name or an IPv4 address as DNS has it: lower case, ASCII; a dot at its end stays.

    Characters beyond ASCII are mapped by UTS 46, as browsers do, and checked by IDNA 2008.

    Raises:
        InvalidURL: If it is not a name.
    """
    try:
        mapped = name.lower() if name.isascii() else idna.uts46_remap(name, std3_rules=False, transitional=False)
        labels = [as_ascii(label) for label in mapped.removesuffix(".").split(".")]
    except UnicodeError as error:  # of which idna's are
        advice = "if it exists, write it in ASCII, as xn--..."
        raise InvalidURL(
            f"the host name {quoted(name)} is not allowed in DNS ({escaped(str(error))}); {advice}"
        ) from None
    if not all(map(LABEL.fullmatch, labels)) or len(".".join(labels)) > LONGEST_NAME:
        raise InvalidURL(
            f"{quoted(name)} is not a host name: labels of 1 to 63 letters, digits and hyphens, 253 in all"
        )
    if NUMBER.fullmatch(labels[-1]):
        return ipv4(".".join(labels))
    return ".".join(labels) + "." * mapped.endswith(".")


def as_ascii(label: str) -> str:
    return label if label.isascii() else idna.alabel(label).decode("ascii")


def ipv4(written: str) -> str:
    """Return an address in its usual form: 127.1 and 0x7f000001 are 127.0.0.1."""
    try:
        return socket.inet_ntoa(socket.inet_aton(written))
    except OSError:
        raise InvalidURL(f"{quoted(written)} ends in a number but is not an IPv4 address") from None


def with_zone(host: str, zone: str) -> str:
    """Return a host for the resolver, with the zone as a number: it takes names of zones for some addresses only.

    Raises:
        OSError: If the interface does not exist; it may exist later.
    """
    if not zone or zone.isdigit():
        return f"{host}%{zone}" if zone else host
    try:
        return f"{host}%{socket.if_nametoindex(zone)}"
    except OSError:
        raise OSError(f"{bracketed(host)}: there is no network interface {zone!r} here") from None


def bracketed(host: str) -> str:
    """Return a host as it is written before a port."""
    return f"[{host}]" if ":" in host else host


def server_name(host: str) -> str:
    """Return the name for SNI and for the check of the certificate (RFC 6066 section 3): no dot at its end."""
    return host.removesuffix(".")
