"""What ``connect`` and ``connect_forever`` share: the options, checked, and how a connection is made by them."""

from __future__ import annotations

import ssl
from typing import Unpack

import trio

from wsframe.http.responses import header_list
from wsframe.limits import DEFAULT_TIMEOUTS, Limits, Timeouts, filled
from wsframe.outgoing.link import Link
from wsframe.outgoing.opening import Opened, Plan
from wsframe.outgoing.options import ConnectOptions, Opening, filled_limits
from wsframe.outgoing.proxy import ENVIRONMENT, Proxy
from wsframe.outgoing.url import Target
from wsframe.outgoing.websocket import WebSocket
from wsframe.protocol.decoder import Connection
from wsframe.protocol.deflate import Deflater, InflateExtension

__all__ = ["Connector"]


class Connector:
    """Makes connections by the same options; arguments and errors are those of :func:`connect` when it is made."""

    def __init__(self, url: str, **options: Unpack[ConnectOptions]) -> None:
        subprotocols = options.get("subprotocols", ())
        if isinstance(subprotocols, str):
            raise TypeError("subprotocols is a collection of names, not one str")
        self._limits = filled_limits(options.get("limits", Limits()))
        self._timeouts = filled(options.get("timeouts", Timeouts()), DEFAULT_TIMEOUTS)
        proxy, context = options.get("proxy", ENVIRONMENT), options.get("ssl_context")
        if proxy not in (None, ENVIRONMENT):
            Proxy.parse(proxy)
        self._plan = Plan(
            target=Target.parse(url),
            headers=header_list(options.get("headers", ())),
            subprotocols=list(subprotocols),
            unix=options.get("unix"),
            ssl_context=context,
            proxy=proxy,
            deflate=options.get("deflate"),
            opening=options.get("opening", Opening()),
        )
        if context is not None:
            check_context(context)
        self._plan.upgrade()  # what cannot be sent raises here, where the traceback names the culprit

    @property
    def target(self) -> Target:
        """Where it connects first."""
        return self._plan.target

    async def open(self) -> tuple[Link, WebSocket]:
        """Connect without running the connection's tasks, which the caller must do."""
        opened = await self._plan.open()
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


def check_context(context: ssl.SSLContext) -> None:
    """Raise ValueError for a server's context, which else would fail with each try."""
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    except ssl.SSLError as error:
        raise ValueError(f"ssl_context is not a client's: {error}") from None
