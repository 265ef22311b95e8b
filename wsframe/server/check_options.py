"""Mistakes in the options of a server, found before anything begins."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import cast

import trio

from wsframe.backplane.at_url import backplane_at
from wsframe.digits import whole_number
from wsframe.http.hostnames import host_names
from wsframe.http.request import VERSIONS
from wsframe.net.certificate import Certificate
from wsframe.resources.check_hooks import check_http_handler, check_plain, check_takes
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import call_of
from wsframe.resources.routing.registry import Registry
from wsframe.server.logs.stderr_log import FORMATS, LEVELS
from wsframe.server.sockets.addresses import parse_address

__all__ = ["check_log", "check_registry", "check_started", "imported", "refuse_while_imported"]

importing: ContextVar[str] = ContextVar("importing")
"""The file or module that a command is importing: a server that it started would keep the command from its work."""

HOSTS = "a collection of names, such as ['chat.example'], or None"
PROXIES = "a collection of addresses and networks, such as ['10.0.0.7', '192.168.0.0/16', 'unix']"
SOCKETS = "a list of bound sockets, or None"
CERTIFICATES = "a wsframe.Certificate, such as Certificate(certfile='chain.pem', keyfile='key.pem'), a list, or None"
BIND = "one address as a str, such as '[::1]:8000' or 'unix:chat.socket', a list of them, or None"


def check_registry(registry: object) -> None:
    """Check the registry to serve.

    Raises:
        TypeError: If it is not a registry.
    """
    if registry is None or isinstance(registry, Registry):
        return
    if isinstance(registry, Resource) or (isinstance(registry, type) and issubclass(registry, Resource)):
        cls = registry if isinstance(registry, type) else type(registry)
        raise TypeError(
            f"a server serves a wsframe.Registry, and {cls.__name__} is a resource: "
            f"register it first, with wsframe.register_global_resource('/', {call_of(cls)}), and give none"
        )
    if isinstance(registry, str):
        raise TypeError(
            f"a server serves a wsframe.Registry, not the name of one: import the object {registry!r}, "
            f"or let the command do it: wsframe serve {registry}"
        )
    way = f": give the port by its name, port={registry}" if type(registry) is int else ""
    if isinstance(registry, dict):
        way = ": call wsframe.register_global_resource(path, resource) for each, and give none"
    raise TypeError(f"a server serves a wsframe.Registry, or None for the global one, not {shown(registry)}{way}")


def check_started(started: object) -> None:
    """Check the function to call with a server.

    Raises:
        TypeError: If it is not a plain function that takes one.
    """
    if started is not None:
        if not callable(started):
            raise TypeError(f"started is a function that takes the server, not {type(started).__name__}")
        check_plain("started", started)
        check_takes("started", started, "server")


def check_log(level: object, log_format: object) -> None:
    """Check the level and the format of a log on stderr.

    Raises:
        ValueError: For a level or format that does not exist.
    """
    if level is not None and level not in LEVELS:
        raise ValueError(f"log_level is one of {', '.join(LEVELS)}, or None, not {level!r}")
    if log_format not in FORMATS:
        raise ValueError(f"log_format is 'text' or 'json', not {log_format!r}")


def check_type(name: str, value: object, types: tuple[type, ...], wanted: str) -> None:
    """Check the type of an option; any type is right if none is named.

    Raises:
        TypeError: For another type.
    """
    # A str is a collection of letters, True an int, and a class not an object.
    fits = not types or (isinstance(value, types) and (not isinstance(value, bool) or bool in types))
    if not fits or (types and isinstance(value, str | bytes) and str not in types):
        raise TypeError(f"{name} is {wanted}, not {shown(value)}")


def check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"port is an int from 0 to 65535, not {port}")


def check_metrics_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"metrics_port is an int from 0 to 65535, not {port}")
    if find_spec("prometheus_client") is None:
        raise ImportError("metrics_port needs prometheus-client: pip install 'wsframe[prometheus]'")


def check_tracing(tracing: object) -> None:
    if tracing is False:
        return
    if tracing is not True and not hasattr(tracing, "get_tracer"):
        raise TypeError(f"tracing is True, False or a TracerProvider of OpenTelemetry, not {shown(tracing)}")
    if find_spec("opentelemetry") is None:
        raise ImportError("tracing needs opentelemetry-api: pip install 'wsframe[opentelemetry]'")


def check_hosts(hosts: Collection[object]) -> None:
    for name in hosts:
        if not isinstance(name, str):
            raise TypeError(f"hosts is {HOSTS}: {shown(name)} is not a str")
    host_names(cast(Collection[str], hosts))


def check_proxy_protocol(wanted: str) -> None:
    if wanted != "required":
        raise ValueError(f"proxy_protocol is 'required' or None, not {wanted!r}")


def check_sockets(sockets: Sequence[object]) -> None:
    for sock in sockets:
        # A stand-in for one in tests accepts too; a socket of trio is not a socket.socket.
        if not isinstance(sock, socket.socket) and (not hasattr(sock, "accept") or is_stream(sock)):
            raise TypeError(f"sockets is {SOCKETS}: {shown(sock)} is not a socket.socket")
        if isinstance(sock, socket.socket) and sock.type != socket.SOCK_STREAM:
            raise ValueError(f"sockets are bound TCP or unix sockets of the kind SOCK_STREAM, got {sock!r}")


def check_bind(bind: str | Sequence[object]) -> None:
    if not bind:
        raise ValueError(f"bind is {BIND}: {bind!r} names none")
    for address in [bind] if isinstance(bind, str) else bind:
        if not isinstance(address, str):
            raise TypeError(f"bind is {BIND}: {shown(address)} is not a str")
        parse_address(address)


def check_unix_mode(mode: int) -> None:
    if not 0 <= mode <= 0o777:
        raise ValueError(f"unix_mode is permissions from 0 to 0o777, such as 0o660, not {mode:#o}")


def check_versions(versions: Collection[object]) -> None:
    if 13 not in versions or not VERSIONS.issuperset(versions):
        raise ValueError(f"versions must include 13; 8, 7 and 0 are also allowed, got {versions!r}")


def check_ssl_context(context: ssl.SSLContext) -> None:
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    except (ssl.SSLError, ValueError):
        raise ValueError(
            "ssl_context is one for clients: make it with ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "
            "and load the server's certificate"
        ) from None


def check_certificates(certificates: object) -> None:
    given = [certificates] if isinstance(certificates, Certificate) else cast(Sequence[object], certificates)
    if not given:
        raise ValueError(f"certificates is {CERTIFICATES}: {certificates!r} has none")
    for one in given:
        if not isinstance(one, Certificate):
            raise TypeError(f"certificates is {CERTIFICATES}: {shown(one)} is not a wsframe.Certificate")


def check_client_certificates(choice: object) -> None:
    if choice not in ("required", "optional"):
        raise ValueError(f"client_certificates is 'required' or 'optional', not {choice!r}")


def check_handler(handler: object) -> None:
    check_http_handler("http_handler", handler, such=", such as http_routes(...)")


def check_poller(poller: object) -> None:
    if not callable(poller) and not isinstance(poller, str):
        raise TypeError(f"poller is a name, such as 'auto', or a function that makes one, not {shown(poller)}")


def check_host(host: str, option: str = "host") -> None:
    """Check a name to bind without resolving it.

    Args:
        host: The name.
        option: The option that gave it.

    Raises:
        ValueError: For a URL, a name with a port, or another text that is not a name.
    """
    if not host:
        raise ValueError(f"{option} is a name or address, and None for every address of the machine: not ''")
    if option == "host" and host.startswith(("unix:", "/", "./", "@")):
        raise ValueError(f"host is a name or address alone: give unix={host.removeprefix('unix:')!r} instead")
    right = host.partition("://")[2] if "://" in host else host
    right = right.partition("/")[0].rpartition("@")[2].strip()
    port = ""
    if right.startswith("[") or right.count(":") == 1:
        right, port = right.removeprefix("[").partition("]" if "]" in right else ":")[::2]
    right = right.removeprefix("*")  # as in addresses; None is every address here
    if right != host:
        port = port.lstrip(":")
        number = whole_number(port, 65535)
        everywhere = "*" if option.startswith("--") else None
        beside = "" if number is None else f" and {option.replace('host', 'port')}={number}"
        said = f"{option}={right or everywhere!r}{beside}"
        raise ValueError(f"{option} is a name or address alone: give {said} instead of {host!r}")


def check_metrics_host(host: str) -> None:
    check_host(host, "metrics_host")


def is_stream(sock: object) -> bool:
    """Return whether an object is one of trio's, which accept with ``await``."""
    return isinstance(sock, trio.socket.SocketType | trio.abc.AsyncResource)


def shown(value: object) -> str:
    """Describe a value so that the user recognizes it."""
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
    """Refuse to serve during an import.

    Raises:
        RuntimeError: If a command is importing the caller's module.
    """
    name = importing.get("")
    if name:
        raise RuntimeError(
            f"{name} starts a server while the wsframe command imports it: "
            f"put the call of {function} below 'if __name__ == \"__main__\":'"
        )


def check_backplane(backplane: object) -> None:
    """Raise TypeError for an object without the methods of a backplane, and ValueError for another URL."""
    if isinstance(backplane, str):
        backplane_at(backplane)
        return
    missing = [name for name in ("run", "publish", "want", "unwant") if not callable(getattr(backplane, name, None))]
    if missing or isinstance(backplane, type):
        raise TypeError(
            f"backplane is a wsframe.backplane.Backplane, such as RelayBackplane(path), or a URL, "
            f"not {type(backplane).__name__}"
        )
