"""Host names and origins as browsers send them, made from the way programs write them."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address
from re import compile as pattern
from typing import Any

import idna

from wsframe.digits import whole_number

__all__ = ["browser_origin", "browser_prefix", "canonical_host", "host_names"]

LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
NAME = pattern(rf"{LABEL}(?:\.{LABEL})*")
NUMERIC = pattern(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)")
AUTHORITY = pattern(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
HALF_WRITTEN = pattern(r"(?i:(https?)):/*")
SCHEME = pattern(r"[a-z][a-z0-9+.-]*")
DEFAULT_PORTS = {"http": 80, "https": 443}
PAGES = {"ws": "http", "wss": "https"}
ANY = "has no patterns (any_origin admits all; a function of the request may decide otherwise)"


def canonical_host(name: str) -> str:
    """Return a host name as it stands in the Host field of a browser, without brackets and without a dot at its end.

    Names beyond ASCII become those of IDNA 2008, IPv6 addresses are shortened and lose their zone,
    which never leaves a machine.

    Raises:
        ValueError: For anything but a name or an address.
    """
    bare = name.removesuffix(".")
    if ":" in bare or bare.startswith("["):
        return ipv6(bare)
    if not bare.isascii():
        try:
            bare = idna.encode(bare, uts46=True).decode()
        except idna.IDNAError as error:
            raise ValueError(f"{name!r} is not a host name: {error}") from None
    bare = bare.lower()
    if NUMERIC.fullmatch(bare):
        try:
            return str(IPv4Address(bare))
        except ValueError:
            raise ValueError(f"an IPv4 address is written as four numbers, such as 127.0.0.1, not {name!r}") from None
    if not NAME.fullmatch(bare) or len(bare) > 253 or any(len(label) > 63 for label in bare.split(".")):
        raise ValueError(f"{name!r} is not a host name")
    return bare


def ipv6(name: str) -> str:
    address = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        raise ValueError(f"{name!r} is neither a host name nor an IPv6 address") from None
    mapped = found.ipv4_mapped  # which Python writes with dots since 3.13, and no browser does
    return str(found) if mapped is None else f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def host_names(hosts: Any) -> frozenset[str] | None:
    """Return the names that a server answers to, as they are compared; None for any.

    Raises:
        TypeError: For one str instead of several, or for a name that is not a str.
        ValueError: For an empty collection, and for anything but a name, such as a URL or a name with a port.
    """
    if isinstance(hosts, str):
        raise TypeError(f"hosts is a collection of names, not one str: use hosts={names_in(hosts)!r}")
    if not isinstance(hosts, Collection) or not all(isinstance(name, str) for name in hosts):
        raise TypeError(f"hosts is a collection of names, each a str, not {hosts!r}")
    if not hosts:
        raise ValueError("hosts is empty, so no request would pass: use None for the default, ['*'] for any name")
    names = frozenset(host_name(name) for name in hosts if name != "*")
    return None if "*" in hosts else names


def names_in(text: str) -> list[str]:
    """Return the names in a text, such as a URL or several names; an example if they cannot be names."""
    names = text.replace(",", " ").split() or [""]
    try:
        return [name if name == "*" else canonical_host(place_in(name)[0]) for name in names]
    except ValueError:
        return ["chat.example"]


def place_in(name: str) -> tuple[str, bool]:
    """Return the host in a text such as a URL, and whether that is the whole text."""
    rest = name.partition("://")[2] or name
    rest = rest.partition("#")[0].partition("?")[0].strip("/").partition("/")[0].rpartition("@")[2].strip()
    authority = AUTHORITY.fullmatch(rest)
    if authority is None:
        return rest, rest == name
    return authority[1], rest == name and authority[2] is None


def host_name(name: str) -> str:
    """Return one of the names as it is compared.

    Raises:
        ValueError: For anything but a name.
    """
    if "*" in name:
        raise ValueError(f"hosts takes names, not patterns: list each name, or ['*'] for any, instead of {name!r}")
    place, alone = place_in(name)
    try:
        right = canonical_host(place)
    except ValueError as error:
        raise ValueError(
            f"a name in hosts is one of a host, or an IP address, such as 'chat.example': {error}"
        ) from None
    if not alone:
        raise ValueError(f"a name in hosts has no scheme, port or path: {right!r} instead of {name!r}")
    return right


def browser_origin(origin: str) -> str:
    """Return an origin as browsers send it, without a dot at the end of its host.

    Raises:
        TypeError: For anything but a str.
        ValueError: For an origin that no browser sends.
    """
    if not isinstance(origin, str):
        raise TypeError(f"an origin is a str such as 'https://example.com', not {origin!r}: give several as arguments")
    scheme, mark, rest = origin.partition("://")
    scheme = scheme.lower()
    if origin.lower() == "null":
        return "null"
    if origin != origin.strip():
        raise wrong_origin(origin.strip(), origin)
    if scheme == "file" and mark and rest in ("", "/"):
        return "file://"
    if "*" in origin:
        raise wrong_origin("https://example.com", origin, ANY)
    if scheme.startswith(("data:", "about:")):
        raise wrong_origin("null", origin)
    if scheme.startswith("blob:"):
        raise wrong_origin(f"{scheme[5:]}://{stripped(rest)}", origin)
    if not mark or not SCHEME.fullmatch(scheme):
        half = HALF_WRITTEN.match(origin)
        raise wrong_origin(f"{half[1] if half else 'https'}://{stripped(origin[half.end() if half else 0 :])}", origin)
    if scheme in PAGES:
        raise wrong_origin(f"{PAGES[scheme]}://{stripped(rest)}", origin, "its scheme is that of the page")
    if rest != stripped(rest) or scheme == "file":
        raise wrong_origin("file://" if scheme == "file" else f"{scheme}://{stripped(rest)}", origin)
    return f"{scheme}://{place_of(scheme, rest, origin)}"


def stripped(place: str) -> str:
    """Return the host and its port without the text around them."""
    for sign in "/?#\\":
        place = place.lstrip(sign).partition(sign)[0]
    return place.rpartition("@")[2].strip()


def place_of(scheme: str, place: str, origin: str) -> str:
    """Return the host and the port of an origin as browsers send them."""
    if scheme not in DEFAULT_PORTS:
        if place.isascii() and place.isprintable() and not any(letter in place for letter in " ,"):
            return place  # such as an extension's id, which no browser changes
        raise wrong_origin("https://example.com", origin)
    authority = AUTHORITY.fullmatch(place)
    if authority is None:
        if place.count(":") > 1 and not place.startswith("["):
            raise wrong_origin(f"{scheme}://[{place}]", origin, "an IPv6 address stands in brackets")
        raise wrong_origin("https://example.com", origin)
    try:
        host = bracketed(canonical_host(authority[1]))
    except ValueError as error:
        raise wrong_origin("https://example.com", origin, str(error)) from None
    port = whole_number(authority[2] or str(DEFAULT_PORTS[scheme]), 65535)
    if port is None:
        raise wrong_origin(f"{scheme}://{host}", origin, "a port is at most 65535")
    return host if port == DEFAULT_PORTS[scheme] else f"{host}:{port}"


def wrong_origin(right: str, origin: str, why: str = "") -> ValueError:
    """Make the error for an origin that no browser sends, with the right form if it can be found."""
    try:
        right = browser_origin(right)
    except ValueError:
        right = "https://example.com"
    told = "an origin is a scheme, a host and perhaps a port, with nothing after it"
    return ValueError(f"{told}{', and ' if why else ''}{why}: such as {right!r}, not {origin!r}")


def browser_prefix(prefix: str) -> str:
    """Return the beginning of an origin as browsers send it.

    Raises:
        TypeError: For anything but a str.
        ValueError: For a prefix that no origin of a browser has, up to a boundary.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is a str such as 'http://localhost', not {prefix!r}: give several as arguments")
    scheme = prefix.lower().rstrip("/").removesuffix(":")
    if scheme in DEFAULT_PORTS or (SCHEME.fullmatch(scheme) and prefix.endswith("://")):
        if scheme in PAGES:
            raise wrong_origin(f"{PAGES[scheme]}://example.com", prefix, "its scheme is that of the page")
        return prefix.lower()
    if prefix.endswith(":"):
        return f"{browser_origin(prefix[:-1])}:"
    origin = browser_origin(prefix)
    written = prefix.rpartition(":")[2]
    port = whole_number(written, 65535)
    if port is not None and not origin.endswith(f":{port}"):
        # Without the port, which no browser sends, the prefix would admit any port.
        raise ValueError(f"browsers leave out the port of the scheme: origin_exact({origin!r}) instead of {prefix!r}")
    return origin
