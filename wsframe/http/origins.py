"""Origin validators and the check of the Host name: which web pages can open a connection.

A validator takes the :class:`~wsframe.Request` and must return exactly True to let it
pass. Anything else, an exception too, refuses with 403. Source: RFC 6455 section 10.2;
clws ``any-origin``, ``origin-exact``, ``origin-prefix``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from re import compile as pattern
from typing import TypeAlias
from urllib.parse import urlsplit

from wsframe.http.hostnames import browser_origin, browser_prefix, canonical_host
from wsframe.http.request import Request

__all__ = ["OriginValidator", "any_origin", "is_pure", "origin_exact", "origin_prefix", "same_origin"]

OriginValidator: TypeAlias = Callable[[Request], bool]
"""Decides from the request whether it can open a connection; only True lets it pass."""

# RFC 9112 section 3.2 and RFC 3986 section 3.2.2: a name or an address, and perhaps a port.
HOST = pattern(r"(\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]*)?")
# Nearly all of them are in lower case.
PLAIN_HOST = pattern(r"([0-9a-z._-]+)(?::([0-9]{1,5}))?")
# The origin that a browser sends: without user, path, query or fragment. urlsplit() drops tabs silently.
ORIGIN = pattern(r"null|[A-Za-z][0-9A-Za-z+.-]*://[^\x00-\x20\x7f/?#@\\]*")
# Nor does a prefix name the host of an origin with a user, ``http://localhost:x@evil.com``.
ONE_HOST = pattern(r"[^\x00-\x20\x7f?#@\\]*")
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
LAST_PORT = 65535
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def any_origin(request: Request) -> bool:
    """Let every origin pass, and requests without one.

    Any web page in the world can then open this path with its visitor's cookies:
    right for public data, wrong where a cookie says who someone is.
    """
    return True


def origin_exact(*origins: str, missing: bool = False) -> OriginValidator:
    """Make a validator that lets exactly these origins pass, such as ``"https://example.com"``.

    Args:
        origins: Scheme, host and port of pages. For those from files it is ``"null"`` in some browsers and
            ``"file://"`` in others and in web views; either is every such page in the world. Other ways to
            write the same are taken: upper case, ``:443`` with ``https``, letters beyond ASCII (IDNA 2008).
        missing: Whether a request without Origin passes. Programs usually send no Origin.

    Raises:
        TypeError: For an origin that is not a str.
        ValueError: For an origin that no browser sends, such as one with a slash at its end, with the
            scheme ``wss``, or with a ``*``.
    """
    check_missing(missing)
    allowed = frozenset(map(browser_origin, origins))

    def validate(request: Request) -> bool:
        origin = request.origin
        return missing if origin is None else origin in allowed or without_dot(origin) in allowed

    name_as_made(validate, "origin_exact", origins, missing=missing)
    return validate


def origin_prefix(*prefixes: str, missing: bool = False) -> OriginValidator:
    """Make a validator that lets origins with one of these beginnings pass.

    A prefix must end where the origin does, or before a ``:`` or ``/``: so
    ``http://localhost`` admits ``http://localhost:8080`` but not
    ``http://localhost.evil.com``, which the clws function of this name lets in.

    Args:
        prefixes: Beginnings such as ``"http://localhost"``.
        missing: Whether a request without Origin passes. Programs usually send no Origin.

    Raises:
        TypeError: For a prefix that is not a str.
        ValueError: For an empty prefix, which would admit nothing or everything, and for one that no
            origin of a browser has, such as one with the scheme ``ws``, with a path or with a ``*``.
    """
    check_missing(missing)
    if "" in prefixes:
        raise ValueError("an empty origin prefix: use any_origin to admit every origin")
    beginnings = tuple(map(browser_prefix, prefixes))

    def validate(request: Request) -> bool:
        origin = request.origin
        if origin is None:
            return missing
        return ONE_HOST.fullmatch(origin) is not None and any(
            origin.startswith(prefix) and (prefix[-1] in ":/" or (origin[len(prefix) :] or "/")[0] in ":/")
            for prefix in beginnings
        )

    name_as_made(validate, "origin_prefix", prefixes, missing=missing)
    return validate


def is_pure(validator: OriginValidator) -> bool:
    """Return whether a validator was made here, so that it only compares, and runs no code of the user's."""
    return getattr(validator, "__globals__", None) is globals()


def check_missing(missing: object) -> None:
    """Raise TypeError for anything but True and False: only True lets a request pass."""
    if not isinstance(missing, bool):
        raise TypeError(f"missing is True or False, not {missing!r}")


def without_dot(origin: str) -> str:
    """Take the dot off a fully qualified name, which stands for the same host."""
    return origin.removesuffix(".").replace(".:", ":")


def name_as_made(validator: OriginValidator, maker: str, args: tuple[str, ...], *, missing: bool) -> None:
    """Give a validator the name that lists of resources show."""
    words = [*map(repr, args), *(["missing=True"] if missing else [])]
    validator.__qualname__ = f"{maker}({', '.join(words)})"


def same_origin(request: Request) -> bool:
    """Let a page pass whose host and port are those the request was sent to; the default.

    A missing Origin passes (no browser sent it), ``null`` never does. The scheme is not
    compared, because a proxy may have ended TLS, unless this server ends TLS itself: then
    ``https`` is required. Behind a proxy that rewrites Host, make it keep Host or use
    :func:`origin_exact`.
    """
    origin = request.origin
    if origin is None:
        return True
    if not ORIGIN.fullmatch(origin):
        return False
    try:
        parts = urlsplit(origin)
        default = DEFAULT_PORTS.get(parts.scheme)
        port = default if parts.port is None else parts.port
    except ValueError:  # a port that is not a number, a bracket without an address
        return False
    if parts.hostname is None or default is None or (request.secure and default != 443):
        return False
    host, host_port = split_host(request.headers.get("host", ""))
    # split_host() takes the dot of a fully qualified name off: it must not make two names of one.
    return (parts.hostname.removesuffix("."), port) == (host, default if host_port is None else host_port)


def split_host(value: str) -> tuple[str, int | None]:
    """Split a Host field into the name in lower case and the port; ``("", None)`` if it is malformed."""
    plain = PLAIN_HOST.fullmatch(value)
    if plain is not None:  # without urlsplit(), for a seventh of its time
        name, port = plain.groups()
        number = None if port is None else int(port)
        return ("", None) if number is not None and number > LAST_PORT else (name.removesuffix("."), number)
    try:
        parts = urlsplit(f"//{value}")
        if parts.path or parts.query or parts.fragment or parts.username is not None:
            return "", None
        return (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return "", None


def host_allowed(host: str, hosts: Collection[str] | None) -> bool:
    """Return whether the server answers to the Host of a request, empty without one; None answers to any valid one.

    Against DNS rebinding: a page of ``http://evil.com`` whose name was made to resolve to
    127.0.0.1 is of the same origin as its own Host, so only the name gives it away.
    """
    if hosts is None:
        return HOST.fullmatch(host) is not None
    name, _ = split_host(host)
    if ":" in name and name not in hosts:  # an IPv6 address has many spellings
        with suppress(ValueError):
            name = canonical_host(name)
    return name in hosts
