"""Requests that do not ask for a WebSocket: which handler takes one, and its body before that."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from types import TracebackType
from typing import NamedTuple, Self

from wsframe.connection.memory_budget import Budget
from wsframe.http import handshake
from wsframe.http.body import BodyReader, check_framing
from wsframe.http.handler_marks import answers_any_host
from wsframe.http.origins import OriginValidator, host_allowed
from wsframe.http.paths import with_other_slashes
from wsframe.http.request import Headers, Request
from wsframe.http.responses import RETRY_AFTER, HttpHandler, Reject, Response, refusing
from wsframe.log import quoted
from wsframe.resources.routing.factories import written_name
from wsframe.resources.routing.registry import Registry
from wsframe.server.newcomers.decide import check_origin, handle
from wsframe.server.newcomers.disconnects import Disconnects
from wsframe.server.newcomers.newcomer import Gone, Newcomer

__all__ = ["PageRequest", "PlainHttp", "Share"]

# Methods that change nothing (RFC 9110 section 9.2.1): pages of other origins can make such requests anyway.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class PageRequest(NamedTuple):
    """A handler and the request that it answers."""

    handler: HttpHandler
    name: str
    """Its name in the log."""
    request: Request
    """As the handler sees it."""
    sent: Request
    """As the peer sent it."""
    origins: OriginValidator | None
    """The validator of a route; None for ``http_handler``, which decides itself and gets no body."""


class Share:
    """The part of the server's memory that one plain HTTP request holds, given back at the end of a ``with``."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def __enter__(self) -> Self:
        """Begin without any."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give it back."""
        self._budget.held -= self._held

    def hold(self, size: int) -> None:
        """Take some more bytes.

        Raises:
            Reject: 503 if there is no room for them.
        """
        if self._budget.held + size > self._budget.limit:
            raise Reject(503, [RETRY_AFTER], "server out of memory")
        self._budget.held += size
        self._held += size


class PlainHttp:
    """The pages of one server.

    Args:
        registries: Their routes come first, in this order.
        http_handler: Takes the requests for which there is no route; None if there is no handler.
        max_body: Bytes of the body of a request at most.
        budget: The memory of the server.
        disconnects: Notices when a peer goes while a handler works for it.
    """

    def __init__(
        self,
        registries: Sequence[Registry],
        http_handler: HttpHandler | None,
        max_body: int,
        budget: Budget,
        disconnects: Disconnects,
    ) -> None:
        self._registries = registries
        self._http_handler = http_handler
        self._max_body = max_body
        self._budget = budget
        self._disconnects = disconnects

    def check_host(self, newcomer: Newcomer, request: Request, headers: Headers) -> None:
        """Check that the server answers to the Host of a request, or that its handler does to any.

        Raises:
            Reject: 400 if neither does.
        """
        host = headers.get("host")
        assert newcomer.head is not None
        if host is None and newcomer.head.http_version >= b"1.1":
            refusal = Reject(400, body="malformed request: it has no Host")
        elif not host_allowed(host or "", newcomer.place.hosts):
            reason = f"this server does not answer to the Host {quoted(host or '')}"
            refusal = refusing(400, f"{reason}; see hosts=, and behind a proxy trusted_proxies=")
        else:
            return
        if not handshake.wants_upgrade(headers):
            with suppress(Reject):
                page = self.find(request)
                if page is not None and answers_any_host(page.handler, page.request):
                    return
        raise refusal

    def find(self, request: Request) -> PageRequest | None:
        """Return the page for a request; None where a resource is in its place, or a server has no pages at all.

        Raises:
            Reject: 404 if neither a route nor a resource has the path, and other paths have routes.
        """
        for registry in self._registries:
            found = registry.http_routes.answer(request)
            if found is not None:
                route, seen = found
                return PageRequest(
                    route.handler, f"the handler {written_name(route.handler)}", seen, request, route.origins
                )
        if self._http_handler is not None:
            return PageRequest(self._http_handler, "http_handler", request, request, None)
        if any(len(registry.http_routes) for registry in self._registries) and not any(
            registry.table.covers(request.path) for registry in self._registries
        ):
            raise refusing(404, f"nothing at {quoted(request.path)}{self._hint(request)}")
        return None

    def _hint(self, request: Request) -> str:
        """Name the path of a route that a path misses by slashes alone."""
        there = copy(request)
        for there.path in with_other_slashes(request.path):
            if any(registry.http_routes.answer(there) for registry in self._registries):
                return f"; there is a page at {quoted(there.path)}"
        return ""

    async def ask(self, newcomer: Newcomer, page: PageRequest, share: Share) -> tuple[bytes, Response | None]:
        """Read the body of a request, which the share holds from then on, and ask for the answer.

        Returns:
            The head of the answer, and the response whose content follows it, if any does.

        Raises:
            Reject: One that the handler raises, or an earlier one.
            Gone: If the peer goes before its request is whole.
        """
        if self._budget.exceeded:
            raise Reject(503, [RETRY_AFTER], "server out of memory")
        headers = page.sent.headers
        if page.origins is None:
            handshake.check_bodiless(headers)
        else:
            if page.sent.method not in SAFE:
                check_origin(page.origins, page.sent, headers)
            head = newcomer.head
            assert head is not None
            check_framing(head.http_version, headers, self._max_body)
            reader = BodyReader(head.http_version, headers, self._max_body)
            page.request.body = await receive_body(newcomer, reader, head.trailing, share)
        decision = handle(page.handler, page.request, page.name, sent=page.sent, body=newcomer.wants_body)
        return await self._disconnects.watch(newcomer, decision, half_closed=True)


async def receive_body(newcomer: Newcomer, reader: BodyReader, begun: bytes, share: Share) -> bytes:
    """Receive the body of a request, of which some bytes can have come with the head.

    Raises:
        Reject: 413 if it is too large, 400 if it is malformed, 503 if there is no room for it.
        Gone: If the peer goes before it is whole.
    """
    data = begun
    newcomer.head_received = reader.whole  # a peer that dawdles over it makes room for others too
    while not reader.whole:
        if data:
            before = len(reader)
            reader.receive(data)
            share.hold(len(reader) - before)
        elif reader.invitation:
            await newcomer.transport.send_all(reader.invitation)
        if not reader.whole:
            data = await newcomer.transport.receive_some()
            if not data:
                raise Gone
    newcomer.head_received = True
    return reader.body
