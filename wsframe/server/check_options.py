"""What is wrong with the options of a server, told before anything begins."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any

import trio

from wsframe.http.hostnames import host_names
from wsframe.http.request import VERSIONS
from wsframe.limits import Capacity, Limits, Timeouts
from wsframe.protocol.deflate import Deflate
from wsframe.resources.check_hooks import check_http_handler, check_plain, check_takes
from wsframe.resources.registry import Registry
from wsframe.resources.resource import Resource

__all__ = ["check_server_options", "check_started", "imported", "refuse_while_imported"]

importing: ContextVar[str] = ContextVar("importing")
"""The file or module that a command is importing: a server that it started would keep the command from its work."""

# Names, what is wanted, and what is meant where something else is given.
TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "host": ((str, type(None)), "a name or address as a str, or None for every address"),
    "port": ((int,), "an int from 0 to 65535"),
    "sockets": ((Sequence, type(None)), "a list of bound sockets, or None"),
    "unix": ((str, type(None)), "a path as a str, or None"),
    "hosts": ((Collection, type(None)), "a collection of names, such as ['chat.example'], or None"),
    "versions": ((Collection,), "a collection of version numbers, such as (13,)"),
    "ssl_context": ((ssl.SSLContext, type(None)), "an ssl.SSLContext with the server's certificate, or None"),
    "capacity": ((Capacity,), "a wsframe.Capacity, such as Capacity(max_clients=100)"),
    "limits": ((Limits,), "a wsframe.Limits, such as Limits(max_message=65536)"),
    "timeouts": ((Timeouts,), "a wsframe.Timeouts, such as Timeouts(drain=5)"),
    "deflate": ((Deflate, type(None)), "a wsframe.Deflate, such as Deflate.shared(), or None"),
    "debug": ((bool,), "True or False"),
}
NAMES = (*TYPES, "http_handler", "poller")


def check_registry(registry: object) -> None:
    """Check what is to be served.

    Raises:
        TypeError: If it is no registry.
    """
    if registry is None or isinstance(registry, Registry):
        return
    if isinstance(registry, Resource) or (isinstance(registry, type) and issubclass(registry, Resource)):
        name = registry.__name__ if isinstance(registry, type) else type(registry).__name__
        raise TypeError(
            f"a server serves a wsframe.Registry, and {name} is a resource: "
            f"register it first, with wsframe.register_global_resource('/', {name}()), and give none"
        )
    if isinstance(registry, str):
        raise TypeError(
            f"a server serves a wsframe.Registry, not the name of one: import what {registry!r} names, "
            f"or let the command do it: wsframe serve {registry}"
        )
    raise TypeError(f"a server serves a wsframe.Registry, or None for the global one, not {shown(registry)}")


def check_server_options(registry: object, options: Mapping[str, Any]) -> None:
    """Check what is to be served, and options, each by itself; those that are not there have their defaults.

    Raises:
        TypeError: For a value of another type, or an option there is not.
        ValueError: For a value that can never serve.
    """
    check_registry(registry)
    for name, value in options.items():
        if name not in NAMES:
            close = get_close_matches(name, NAMES, 1)
            raise TypeError(f"a server has no option {name!r}" + (f": is it {close[0]!r}?" if close else ""))
        if name in TYPES:
            check_type(name, value)
    check_place(options)
    poller: object = options.get("poller", "auto")
    if not callable(poller) and not isinstance(poller, str):
        raise TypeError(f"poller is a name, such as 'auto', or a function that makes one, not {shown(poller)}")
    if (handler := options.get("http_handler")) is not None:
        check_http_handler("http_handler", handler, such=", such as http_routes(...)")
    versions = options.get("versions", (13,))
    if 13 not in versions or not VERSIONS.issuperset(versions):
        raise ValueError(f"versions are 13, always, and of the old ones 8, 7 and 0: not {versions!r}")
    if (context := options.get("ssl_context")) is not None:
        try:
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
        except (ssl.SSLError, ValueError):
            raise ValueError(
                "ssl_context is one for clients: make it with ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "
                "and load the server's certificate"
            ) from None


def check_started(started: object) -> None:
    """Check what is to be called with a server.

    Raises:
        TypeError: If it is no plain function that takes one.
    """
    if started is not None:
        if not callable(started):
            raise TypeError(f"started is a function that takes the server, not {type(started).__name__}")
        check_plain("started", started)
        check_takes("started", started, "server")


def check_type(name: str, value: object) -> None:
    types, wanted = TYPES[name]
    # A str is a collection of letters, True an int, and a class no object.
    fits = isinstance(value, types) and not isinstance(value, bool if name == "port" else ())
    if not fits or (isinstance(value, str | bytes) and str not in types):
        raise TypeError(f"{name} is {wanted}, not {shown(value)}")


def check_place(options: Mapping[str, Any]) -> None:
    """Check where the server is to listen, and by which names it is called."""
    port = options.get("port", 0)
    if not 0 <= port <= 65535:
        raise ValueError(f"port is an int from 0 to 65535, not {port}")
    host = options.get("host")
    if host is not None:
        check_host(host)
    for name in options.get("hosts") or ():
        if not isinstance(name, str):
            raise TypeError(f"hosts is {TYPES['hosts'][1]}: {shown(name)} is no str")
    if options.get("hosts") is not None:
        host_names(options["hosts"])
    for sock in options.get("sockets") or ():
        # What stands in for one in tests accepts too; a socket of trio is no socket.socket.
        if not isinstance(sock, socket.socket) and (not hasattr(sock, "accept") or is_stream(sock)):
            raise TypeError(f"sockets is {TYPES['sockets'][1]}: {shown(sock)} is no socket.socket")
        if isinstance(sock, socket.socket) and sock.type != socket.SOCK_STREAM:
            raise ValueError(f"sockets are bound TCP or unix sockets of the kind SOCK_STREAM: {sock!r} is none")
    unix = options.get("unix")
    if unix is not None and (not unix or "\0" in unix):
        raise ValueError(f"unix is the path of a socket, not {unix!r}")


def check_host(host: str) -> None:
    """Check a name that is to be bound, as far as nobody resolves it.

    Raises:
        ValueError: For what is none, such as a URL or a name with a port.
    """
    if not host:
        raise ValueError("host is a name or address, and None for every address of the machine: not ''")
    right = host.partition("://")[2] or host
    right = right.partition("/")[0].strip()
    port = ""
    if right.startswith("[") or right.count(":") == 1:
        right, port = right.removeprefix("[").partition("]" if "]" in right else ":")[::2]
    if right != host:
        port = f" and port={port.lstrip(':')}" if port.lstrip(":") else ""
        raise ValueError(f"host is a name or address alone: give host={right!r}{port} instead of {host!r}")


def is_stream(sock: object) -> bool:
    """Tell whether something is trio's: it accepts with ``await``."""
    return isinstance(sock, trio.socket.SocketType | trio.abc.AsyncResource)


def shown(value: object) -> str:
    """Show what was given, so that it is found again."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"{value!r:.80} of type {type(value).__name__}"


@contextmanager
def imported(name: str) -> Iterator[None]:
    """Have servers refused while a command imports a target."""
    token = importing.set(name)
    try:
        yield
    finally:
        importing.reset(token)


def refuse_while_imported(function: str) -> None:
    """Refuse to serve in the midst of an import.

    Raises:
        RuntimeError: If a command is importing the caller's module.
    """
    name = importing.get("")
    if name:
        raise RuntimeError(
            f"{name} starts a server while the wsframe command imports it: "
            f"put the call of {function} below 'if __name__ == \"__main__\":'"
        )
