"""The part that ``connect`` and ``connect_forever`` share: checked options, and making a connection by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import trio

from wsframe.limits import DEFAULT_TIMEOUTS, Limits, Timeouts, filled
from wsframe.outgoing.check_options import check_options, checked_fields, checked_names, kept
from wsframe.outgoing.link import OutgoingLink
from wsframe.outgoing.opening import Opened, OpeningPlan
from wsframe.outgoing.options import ConnectOptions, Opening, OutgoingURL, filled_limits, value_of
from wsframe.outgoing.proxy import ENVIRONMENT
from wsframe.outgoing.url import Target
from wsframe.outgoing.websocket import WebSocket
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflater, InflateExtension

__all__ = ["Connector"]


# Stands for a URL that is unknown until a function is called.
UNKNOWN = "ws://unknown.invalid/"


class Connector:
    """Makes connections by the same options; with the arguments and errors of :func:`connect`."""

    def __init__(self, url: OutgoingURL, **options: Unpack[ConnectOptions]) -> None:
        check_options(options)
        self._limits = filled_limits(options.get("limits", Limits()))
        self._timeouts = filled(options.get("timeouts", Timeouts()), DEFAULT_TIMEOUTS)
        headers = options.get("headers", ())
        self._url, self._headers = url, headers
        self._plan = OpeningPlan(
            target=Target.parse(UNKNOWN if callable(url) else url),
            headers=[] if callable(headers) else checked_fields(headers),
            subprotocols=checked_names("subprotocols", options.get("subprotocols", ())),
            keep_on_redirect=kept(options.get("keep_on_redirect", ())),
            unix=options.get("unix"),
            ssl_context=options.get("ssl_context"),
            proxy=options.get("proxy", ENVIRONMENT),
            deflate=options.get("deflate"),
            opening=options.get("opening", Opening()),
        )
        self._plan.upgrade()  # options that cannot be sent raise here, where the traceback shows the caller
        self.name: str = "connection" if callable(url) else str(self._plan.target)
        """The URL tried last, for log lines."""

    async def _asked(self) -> OpeningPlan:
        """Call the functions that were given in place of values."""
        plan = self._plan
        if callable(self._url):
            plan = replace(plan, target=Target.parse(await value_of(self._url)))
            self.name = str(plan.target)
        if callable(self._headers):
            plan = replace(plan, headers=checked_fields(await value_of(self._headers)))
        return plan

    async def open(self) -> tuple[OutgoingLink, WebSocket]:
        """Connect; the caller must run the connection's tasks."""
        plan = await self._asked()
        opened = await plan.open()
        try:
            link = self._link_of(opened)
        except BaseException:
            opened.transport.close(reset=True)
            raise
        return link, WebSocket(link, opened)

    def _link_of(self, opened: Opened) -> OutgoingLink:
        terms, deflate = opened.upgraded.terms, self._plan.deflate
        inflate = None if terms is None else InflateExtension(terms, self._limits.max_message)
        deflater = None if terms is None or deflate is None else Deflater(terms, deflate)
        connection = Decoder(self._limits, self._timeouts, trio.current_time(), inflate, masked=False)
        opened.transport.tune(self._limits.unsent_in_kernel, self._timeouts.write_stall)
        link = OutgoingLink(opened.transport, self._limits, connection, str(opened.target), deflater)
        if opened.upgraded.trailing:
            link.decode(bytearray(opened.upgraded.trailing))
        return link
