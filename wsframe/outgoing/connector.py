"""What ``connect`` and ``connect_forever`` share: the options, checked, and how a connection is made by them."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike, fspath
from types import NoneType
from typing import Unpack

import trio

from wsframe.doorbell import check_trio
from wsframe.http.responses import header_list
from wsframe.limits import DEFAULT_TIMEOUTS, Limits, Timeouts, filled
from wsframe.outgoing.link import Link
from wsframe.outgoing.opening import Opened, Plan
from wsframe.outgoing.options import ConnectOptions, Opening, OutgoingURL, filled_limits, value_of
from wsframe.outgoing.proxy import ENVIRONMENT, Proxy
from wsframe.outgoing.url import Target
from wsframe.outgoing.websocket import WebSocket
from wsframe.protocol.decoder import Connection
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension

__all__ = ["Connector"]


class Connector:
    """Makes connections by the same options; arguments and errors are those of :func:`connect` when it is made."""

    def __init__(self, url: OutgoingURL, **options: Unpack[ConnectOptions]) -> None:
        check_options(options)
        self._limits = filled_limits(options.get("limits", Limits()))
        self._timeouts = filled(options.get("timeouts", Timeouts()), DEFAULT_TIMEOUTS)
        headers = options.get("headers", ())
        self._url, self._headers = url, headers
        self._plan = Plan(
            target=Target.parse(UNKNOWN if callable(url) else url),
            headers=[] if callable(headers) else header_list(headers),
            subprotocols=list(options.get("subprotocols", ())),
            keep_on_redirect=kept(options.get("keep_on_redirect", ())),
            unix=options.get("unix"),
            ssl_context=options.get("ssl_context"),
            proxy=options.get("proxy", ENVIRONMENT),
            deflate=options.get("deflate"),
            opening=options.get("opening", Opening()),
        )
        self._plan.upgrade()  # what cannot be sent raises here, where the traceback names the culprit
        self.name = "connection" if callable(url) else str(self._plan.target)
        """The URL last tried, for log lines."""

    async def _asked(self) -> Plan:
        """Ask the functions that were given in the place of values."""
        plan = self._plan
        if callable(self._url):
            plan = replace(plan, target=Target.parse(await value_of(self._url)))
            self.name = str(plan.target)
        if callable(self._headers):
            plan = replace(plan, headers=header_list(await value_of(self._headers)))
        return plan

    async def open(self) -> tuple[Link, WebSocket]:
        """Connect without running the connection's tasks, which the caller must do."""
        check_trio()
        plan = await self._asked()
        opened = await plan.open()
        try:
            link = self._link_of(opened)
        except BaseException:
            opened.transport.close(reset=True)
            raise
        return link, WebSocket(link, opened)

    def _link_of(self, opened: Opened) -> Link:
        terms, deflate = opened.upgraded.terms, self._plan.deflate
        inflate = None if terms is None else InflateExtension(terms, self._limits.max_message)
        deflater = None if terms is None or deflate is None else Deflater(terms, deflate)
        connection = Connection(self._limits, self._timeouts, trio.current_time(), inflate, masked=False)
        opened.transport.tune(self._limits.unsent_in_kernel, self._timeouts.write_stall)
        link = Link(opened.transport, self._limits, connection, str(opened.target), deflater)
        if opened.upgraded.trailing:
            link.decode(bytearray(opened.upgraded.trailing))
        return link


# Stands for a URL that is not known before a function is asked.
UNKNOWN = "ws://unknown.invalid/"

KINDS: dict[str, tuple[type, ...]] = {
    "limits": (Limits,),
    "timeouts": (Timeouts,),
    "opening": (Opening,),
    "deflate": (Deflate, NoneType),
    "ssl_context": (ssl.SSLContext, NoneType),
    "proxy": (str, NoneType),
    "unix": (str, PathLike, NoneType),
}


def check_options(options: ConnectOptions) -> None:
    """Check what no later step would check, or only with the first try."""
    unknown = sorted(options.keys() - ConnectOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"no such option: {', '.join(unknown)}; there are {', '.join(ConnectOptions.__annotations__)}")
    for name, value in options.items():
        kinds = KINDS.get(name, (object,))
        if not isinstance(value, kinds):
            expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
            raise TypeError(f"{name} must be {expected}, not {value!r}")
        if name in ("subprotocols", "keep_on_redirect") and isinstance(value, str | bytes):
            raise TypeError(f"{name} is a collection of names, not one {type(value).__name__}")
    proxy, unix, context = options.get("proxy", ENVIRONMENT), options.get("unix"), options.get("ssl_context")
    if proxy not in (None, ENVIRONMENT):
        Proxy.parse(proxy)
        if unix is not None:
            raise ValueError("unix and proxy name two ways to the server: give one")
    if unix is not None and not fspath(unix):
        raise ValueError("unix is the path of a socket, and not empty")
    if context is not None:
        check_context(context)


def kept(names: Iterable[str]) -> frozenset[str]:
    """Return names of fields in lower case."""
    found = frozenset(name.lower() for name, _ in header_list([(name, "") for name in names]))
    if "host" in found:
        raise ValueError("keep_on_redirect: Host names the server, so it never goes to another")
    return found


def check_context(context: ssl.SSLContext) -> None:
    """Raise ValueError for a server's context, which else would fail with each try."""
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    except ssl.SSLError as error:
        raise ValueError(f"ssl_context is not a client's: {error}") from None
