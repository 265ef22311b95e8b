"""The options of a server: each named, described and checked in one place."""

# option() makes a field, not a default:
# ruff: noqa: RUF009

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from os import PathLike
from typing import Any, Literal, TypedDict

from wsframe.backplane.interface import Backplane
from wsframe.http.responses import HttpHandler
from wsframe.limits import Capacity, Limits, Timeouts
from wsframe.net.certificate import Certificate
from wsframe.net.poller import PollerChoice
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.protocol.deflate import Deflate
from wsframe.server import check_options as check
from wsframe.server.cluster import Cluster
from wsframe.server.sockets.addresses import check_unix_path, parse_address
from wsframe.server.sockets.bind import read_owner
from wsframe.server.tls import ClientCertificates

__all__ = ["ServeKeywords", "ServeOptions", "made_options"]


def option(
    default: object,
    *types: type,
    wanted: str = "",
    then: Callable[[Any], object] | None = None,
    shown: bool = True,
) -> Any:
    """Make a field that is checked.

    Args:
        default: Its default.
        types: The types that it can have; any if none is given.
        wanted: The words for them in errors.
        then: Checks a value of such a type.
        shown: Whether it is part of the ``repr`` of the options.
    """
    return field(default=default, repr=shown, metadata={"types": types, "wanted": wanted, "then": then})


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeOptions:
    """The options of a server, for :func:`serve`, :func:`open_server`, :func:`run` and the others.

    All of them take the same names as keywords too, which replace fields of ``options=``.

    Raises:
        TypeError: For a field of another type, or an ``http_handler`` that is not an async function.
        ValueError: For a name of ``hosts`` with a scheme, port, path or ``*`` in it, versions that do not
            exist, or a client's ``ssl_context``.
    """

    host: str | None = option(
        "127.0.0.1", str, type(None), wanted="a name or address as a str, or None for every address",
        then=check.check_host,
    )  # fmt: skip
    """Name or address to bind; default 127.0.0.1, so that only this machine reaches a server under development.
    None binds every address of the machine."""

    port: int = option(8000, int, wanted="an int from 0 to 65535", then=check.check_port)
    """TCP port to bind; default 8000. 0 takes a free one, which ``server.addresses`` names."""

    sockets: Sequence[socket.socket] | None = option(
        None, Sequence, type(None), wanted=check.SOCKETS, then=check.check_sockets
    )
    """Bound sockets to serve instead of ``host`` and ``port``; default None, the server binds
    its own. It closes them at its end."""

    unix: str | None = option(None, str, type(None), wanted="a path as a str, or None", then=check_unix_path)
    """Path of a unix socket to serve instead of ``host`` and ``port``; default None, no unix socket. After ``@`` a name
    in Linux's abstract namespace, which every user of the machine can open."""

    bind: str | Sequence[str] | None = option(None, str, Sequence, type(None), wanted=check.BIND, then=check.check_bind)
    """One or more addresses to serve, beside ``unix`` and ``sockets``: ``"HOST:PORT"``, ``"*:PORT"``,
    ``"[V6%ZONE]:PORT"``, ``"unix:PATH"``, ``"unix:@NAME"``, ``"fd:N"`` for an inherited socket, ``"systemd"`` for
    all sockets that systemd passes to this process, ``"fd:NAME"`` for those of a name. ``proxy:`` before one has its
    connections begin with a PROXY header, as ``proxy_protocol`` does for all; ``plain:`` serves it without
    TLS. ``host`` and ``port`` are served beside them only where one of the two is not the default."""

    unix_mode: int | None = option(
        None, int, type(None), wanted="permissions as an int, such as 0o660, or None", then=check.check_unix_mode
    )
    """Permissions of the unix sockets; default None, as the umask makes them. A user with write access can connect."""

    unix_owner: str | None = option(
        None, str, type(None), wanted="'USER', 'USER:GROUP' or ':GROUP', or None", then=read_owner
    )
    """User and group of the unix sockets, by name or number; default None, those of the process. Another user needs
    privileges, another group membership in it."""

    hosts: Collection[str] | None = option(None, Collection, type(None), wanted=check.HOSTS, then=check.check_hosts)
    """The Host names answered, without port; the server answers others with 400. By default it accepts any Host,
    but on a loopback address only loopback names, that address and ``host``, which stops DNS rebinding. Behind a
    proxy give the public name, or ``["*"]``, which accepts any, where nobody else reaches the port. Letters beyond
    ASCII (IDNA 2008), upper case, a final dot and the spelling of IPv6 addresses do not matter."""

    trusted_proxies: Collection[str] = option((), Collection, wanted=check.PROXIES, then=TrustedProxies)
    """The proxies that are believed about their clients: addresses, networks, and ``"unix"`` for the peers of unix
    sockets; default none. Their ``X-Forwarded-For``, ``-Proto``, ``-Host``, ``X-Real-IP`` and ``Forwarded`` decide
    ``client.host`` and ``port``, ``request.secure`` and the Host; read from the right, the first address that is
    not theirs is the client's. Danger: each address here can claim to be any client. Trust loopback only where
    nobody browses, and no network that strangers can be in."""

    proxy_protocol: Literal["required"] | None = option(
        None, str, type(None), wanted="'required' or None", then=check.check_proxy_protocol
    )
    """``"required"`` has each connection begin with a header of the PROXY protocol, version 1 or 2, before TLS
    too; default None, no connection has one. Only ``trusted_proxies`` can send it: the server closes the connections
    of others, and those without a right header."""

    versions: Collection[int] = option(
        (13,), Collection, wanted="a collection of version numbers, such as (13,)", then=check.check_versions
    )
    """The versions of the WebSocket protocol let in; default 13 alone. For browsers of 2010 and 2011 add 8, 7
    or 0 (hixie-76). Version 0 lets scripts put bytes of their choice on the wire, and cannot take the messages of
    ``send_binary``."""

    ssl_context: ssl.SSLContext | None = option(
        None, ssl.SSLContext, type(None), wanted="an ssl.SSLContext with the server's certificate, or None",
        then=check.check_ssl_context,
    )  # fmt: skip
    """Serves TLS with this context; default None, no TLS. ``certificates`` is simpler."""

    certificates: Certificate | Sequence[Certificate] | None = option(
        None, Certificate, Sequence, type(None), wanted=check.CERTIFICATES, then=check.check_certificates
    )
    """Serves TLS with these certificates, from files; default None. The server reads the files again when they have
    changed, and at SIGHUP. Of several it chooses by the name that the client asks for (SNI), which must be in the
    certificate, also as ``*.example``; clients that ask for no name or another one get the first."""

    client_ca: str | PathLike[str] | None = option(
        None, str, PathLike, type(None), wanted="the path of a PEM file, or None"
    )
    """File with the authorities whose client certificates are trusted, in PEM; default None, no client is asked for
    a certificate. ``request.peer_certificate`` has it. Revocation lists are not read."""

    client_certificates: ClientCertificates = option("required", then=check.check_client_certificates)
    """With ``client_ca``: ``"required"``, the default, refuses clients without a certificate in the TLS handshake;
    ``"optional"`` lets them in, and ``request.peer_certificate`` is None. Both refuse a certificate that is not
    trusted or has expired."""

    capacity: Capacity = option(Capacity(), Capacity, wanted="a wsframe.Capacity, such as Capacity(max_clients=100)")
    """The limits of the server as a whole; default :class:`Capacity`'s, for a thousand clients."""

    limits: Limits = option(Limits(), Limits, wanted="a wsframe.Limits, such as Limits(max_message=65536)")
    """The limits of one client, above all how much it can make the server hold; default :class:`Limits`'s. A resource
    can set its own."""

    timeouts: Timeouts = option(Timeouts(), Timeouts, wanted="a wsframe.Timeouts, such as Timeouts(drain=5)")
    """How long one client can take, in seconds; default :class:`Timeouts`'s. A resource can set its own."""

    deflate: Deflate | None = option(
        None, Deflate, type(None), wanted="a wsframe.Deflate, such as Deflate.shared(), or None"
    )
    """Compression of messages for clients that offer it; default None, because it costs memory and time. A resource can
    set its own."""

    http_handler: HttpHandler | None = option(None, then=check.check_handler)
    """Async function that answers requests that do not ask for a WebSocket and for which no registry has a route;
    default None: the server answers them 426. No check of origins comes before it."""

    metrics_port: int | None = option(
        None, int, type(None), wanted="an int from 0 to 65535, or None", then=check.check_metrics_port
    )
    """Serves ``/metrics``, and with it ``/healthz`` and ``/readyz``, at a port of its own, until the last client has
    gone; default None, at no other port. 0 takes a free one, which ``server.metrics_address`` names. Needs
    ``wsframe[prometheus]``."""
    metrics_host: str | None = option(
        "127.0.0.1", str, type(None), wanted="a name or address as a str, or None for every address",
        then=check.check_metrics_host,
    )  # fmt: skip
    """Name or address of ``metrics_port``; default 127.0.0.1. The page shows paths, numbers of clients and the load
    to everybody who reaches it, so bind another address only in a network that you trust."""
    backplane: Backplane | str | None = option(None, then=check.check_backplane, shown=False)
    """The link to other servers of the service: topics then reach the subscribers of all of them. Default None: they
    reach only the subscribers of this server. A backplane, the path of a relay's socket, or a URL as for
    :class:`~wsframe.backplane.RedisBackplane` or :class:`~wsframe.backplane.PostgresBackplane`. With several workers
    the relay between them has the one connection to the engine of a URL; a backplane connects in each worker. The URL
    can have a password, so it is not part of the ``repr``."""
    cluster: Cluster = option(Cluster(), Cluster, wanted="a wsframe.Cluster, such as Cluster(lease_seconds=10)")
    """Leases and the port for other servers, where a ``backplane`` links several: resources of scope ``"one"`` and
    ``"path"`` then live in one of them at a time. Default :class:`Cluster`'s, for servers on one machine."""
    tracing: Any = option(False, then=check.check_tracing)
    """Whether OpenTelemetry gets a span of each connection, and of each call of a hook below it: True for the tracer
    provider of the process, or a provider. Default False, at no cost. A span costs 20 to 50 µs with an SDK. Needs
    ``wsframe[opentelemetry]``. A peer's ``traceparent`` is believed: it puts the connection into the peer's trace."""
    debug: bool = option(False, bool, wanted="True or False")
    """Whether an error of user code enters the debugger, or ends the server where there is no terminal. Default False.
    Danger: any client that provokes an error stops all others."""

    poller: PollerChoice = option("auto", then=check.check_poller)
    """How the server learns which sockets are ready: ``"auto"``, ``"epoll"``, ``"kqueue"``, ``"task"``, or a
    function that makes a poller. Default ``"auto"``, the fastest one there is."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            check.check_type(one.name, value, one.metadata["types"], one.metadata["wanted"])
            if value is not None and one.metadata["then"] is not None:
                one.metadata["then"](value)
        given = [self.bind] if isinstance(self.bind, str) else self.bind or ()
        proxied = any(parse_address(text).manner.proxy_protocol for text in given)
        if (proxied or self.proxy_protocol is not None) and not self.trusted_proxies:
            raise ValueError("proxy_protocol needs trusted_proxies, the addresses of the proxies that send its header")


class ServeKeywords(TypedDict, total=False):
    """The fields of :class:`ServeOptions` as keyword arguments, for ``**options: Unpack[ServeKeywords]``."""

    host: str | None
    port: int
    sockets: Sequence[socket.socket] | None
    unix: str | None
    bind: str | Sequence[str] | None
    unix_mode: int | None
    unix_owner: str | None
    hosts: Collection[str] | None
    trusted_proxies: Collection[str]
    proxy_protocol: Literal["required"] | None
    versions: Collection[int]
    ssl_context: ssl.SSLContext | None
    certificates: Certificate | Sequence[Certificate] | None
    client_ca: str | PathLike[str] | None
    client_certificates: ClientCertificates
    capacity: Capacity
    limits: Limits
    timeouts: Timeouts
    deflate: Deflate | None
    http_handler: HttpHandler | None
    metrics_port: int | None
    metrics_host: str | None
    backplane: Backplane | str | None
    cluster: Cluster
    tracing: Any
    debug: bool
    poller: PollerChoice


NAMES = tuple(one.name for one in fields(ServeOptions))
CERTIFICATES = "certificates=Certificate(certfile=..., keyfile=...)"
ORIGINS = "origins are registered with a path, register(path, resource, origin_exact(...))"
ELSEWHERE = {
    "certfile": CERTIFICATES, "keyfile": CERTIFICATES, "ssl_certfile": CERTIFICATES, "ssl_keyfile": CERTIFICATES,
    "ssl": CERTIFICATES, "origins": ORIGINS, "origin": ORIGINS, "cors_allowed_origins": ORIGINS, "cors": ORIGINS,
    "reload": "it is an option of the command, wsframe serve --reload", "compression": "deflate=Deflate.shared()",
    "proxy_headers": "trusted_proxies=['10.0.0.7']", "allowed_hosts": "hosts=['chat.example']",
    "max_size": "limits=Limits(max_message=...)",
}  # fmt: skip
"""Options of other servers, and the way to the same here."""


def meant(name: str) -> str:
    """Name the option that was probably meant: a field of another option, or one of a similar name."""
    if name in ELSEWHERE:
        return f": {ELSEWHERE[name]}"
    for option, kind in (("capacity", Capacity), ("limits", Limits), ("timeouts", Timeouts)):
        if name in kind.__dataclass_fields__:
            return f": it is a field of {option}, {option}={kind.__name__}({name}=...)"
    close = get_close_matches(name, NAMES, 1)
    return f": is it {close[0]!r}?" if close else ""


def made_options(options: object, keywords: Mapping[str, Any]) -> ServeOptions:
    """Return the options given, with the keywords in place of its fields.

    Raises:
        TypeError: For an option that does not exist, or a value of another type.
        ValueError: For a value that can never serve.
    """
    for name in keywords:
        if name == "workers":
            raise TypeError("workers is an option of run() and of 'wsframe serve': this server is one process")
        if name not in NAMES:
            raise TypeError(f"a server has no option {name!r}{meant(name)}")
    if options is None:
        return ServeOptions(**keywords)
    if not isinstance(options, ServeOptions):
        given = check.shown(options)
        raise TypeError(f"options is a wsframe.ServeOptions, such as ServeOptions(port=8000), not {given}")
    return replace(options, **keywords) if keywords else options
