"""Options of a connection checked where they are given: no later step checks them, or only the first try does."""

from __future__ import annotations

import ssl
import sys
from collections import Counter
from collections.abc import Iterable
from os import PathLike, fsencode
from re import compile as pattern
from types import NoneType

from wsframe.http.responses import HeaderFields, header_list
from wsframe.limits import Limits, Timeouts
from wsframe.log import quoted
from wsframe.outgoing.options import ConnectOptions, Opening
from wsframe.outgoing.proxy import ENVIRONMENT, Proxy
from wsframe.protocol.deflate import Deflate

__all__ = ["check_options", "checked_fields", "checked_names", "kept"]

KINDS: dict[str, tuple[type, ...]] = {
    "limits": (Limits,),
    "timeouts": (Timeouts,),
    "opening": (Opening,),
    "deflate": (Deflate, NoneType),
    "ssl_context": (ssl.SSLContext, NoneType),
    "proxy": (str, NoneType),
    "unix": (str, PathLike, NoneType),
}

# RFC 9112 section 3.2: a host and perhaps a port.
AUTHORITY = pattern(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~!$&'()*+;=%-]+)(?::[0-9]{0,5})?")
TOKEN = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Two of these contradict each other, and servers take the one or the other.
SINGLE = frozenset({"authorization", "host", "origin", "proxy-authorization", "user-agent"})
# Bytes of the path of a unix socket, which the kernel holds with a zero after them.
LONGEST_PATH = 107 if sys.platform == "linux" else 103


def check_options(options: ConnectOptions) -> None:
    """Check all but the names and fields.

    Raises:
        TypeError: For an option of another type, or that does not exist.
        ValueError: For one that cannot work.
    """
    unknown = sorted(options.keys() - ConnectOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"unknown option: {', '.join(unknown)}; expected {', '.join(ConnectOptions.__annotations__)}")
    for name, value in options.items():
        kinds = KINDS.get(name, (object,))
        if not isinstance(value, kinds):
            expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
            raise TypeError(f"{name} must be {expected}, not {value!r}")
    proxy, unix, context = options.get("proxy", ENVIRONMENT), options.get("unix"), options.get("ssl_context")
    if proxy not in (None, ENVIRONMENT):
        Proxy.parse(proxy)
        if unix is not None:
            raise ValueError("give unix or proxy, not both: they name two ways to the server")
    if unix is not None and not 0 < len(fsencode(unix)) <= LONGEST_PATH:
        raise ValueError(f"unix must be a path of 1 to {LONGEST_PATH} bytes, the limit of the system")
    if context is not None:
        check_context(context)


def check_context(context: ssl.SSLContext) -> None:
    """Raise ValueError for a server's context, which would fail with each try."""
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    except ssl.SSLError as error:
        raise ValueError(f"ssl_context must be for clients: {error}") from None


def checked_names(option: str, names: Iterable[str]) -> list[str]:
    """Return the names of a collection of them.

    Raises:
        TypeError: If it is not one, such as one str.
        ValueError: For one that is not a token (RFC 9110 section 5.6.2).
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise TypeError(f"{option} must be a collection of names, such as ['chat'], not {quoted(names)}")
    given = list(names)
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"{option}: a name is a str, not {quoted(name)}")
        if not TOKEN.fullmatch(name):
            raise ValueError(f"{option}: {quoted(name)} is not a name: letters, digits and !#$%&'*+.^_`|~- are allowed")
    return given


def kept(names: Iterable[str]) -> frozenset[str]:
    """Return the names of ``keep_on_redirect`` in lower case."""
    found = frozenset(name.lower() for name in checked_names("keep_on_redirect", names))
    if "host" in found:
        raise ValueError("keep_on_redirect: Host names the server, and never goes to another one: leave it out")
    if "*" in found:
        raise ValueError("keep_on_redirect: '*' would stand for itself; name the fields")
    return found


def checked_fields(headers: HeaderFields) -> list[tuple[str, str]]:
    """Return header fields that the user gave.

    Raises:
        TypeError: For anything but fields.
        ValueError: For one that cannot be sent, or two of a name that allows one.
    """
    fields = header_list(headers)
    counts = Counter(name.lower() for name, _ in fields)
    for name in SINGLE & counts.keys():
        if counts[name] > 1:
            raise ValueError(f"headers: {name} is given {counts[name]} times, and allowed once")
    for name, value in fields:
        if value != value.strip(" \t"):
            raise ValueError(f"headers: the value of {name} has spaces around it, which would not arrive")
        if name.lower() == "host" and not AUTHORITY.fullmatch(value):
            raise ValueError(
                f"headers: {quoted(value)} is not a Host: a host and perhaps a port, such as 'example.com:80'"
            )
    return fields
