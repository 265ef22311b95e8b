"""Spans of OpenTelemetry: one for each connection, and one below it for each call of a hook.

Only the API package is needed, and only where tracing is on. The spans go wherever the program, or
``opentelemetry-instrument``, sends them; without an SDK they go nowhere. No span has anything of a message in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wsframe.digits import whole_number
from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.resources.client import Client

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

    from wsframe.connection.interfaces import HeldPlace
    from wsframe.resources.resource import Resource

__all__ = ["TracedPlace", "Tracing", "made_tracing"]

INTERNAL_ERROR = 1011


class Tracing:
    """The spans of one server.

    Args:
        provider: Makes the tracer; None for the one of the process.

    Raises:
        ImportError: Without ``wsframe[opentelemetry]``.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        from opentelemetry import context, propagate, trace

        self._context, self._propagate, self._trace = context, propagate, trace
        self._tracer = trace.get_tracer("wsframe", tracer_provider=provider)
        self._spans: dict[Request, Span] = {}
        """The spans of the connections that are not over, by the request that opened each."""

    @contextmanager
    def admission(self, request: Request, route: str) -> Iterator[None]:
        """Begin the span of a connection; end it here if it is refused.

        Args:
            request: The request, whose ``traceparent`` makes the span part of the peer's trace.
            route: The path that was registered.
        """
        headers = {name: request.headers.get(name) or "" for name in self._propagate.get_global_textmap().fields}
        span = self._tracer.start_span(
            f"{request.method} {route}",
            self._propagate.extract({name: value for name, value in headers.items() if value}),
            self._trace.SpanKind.SERVER,
            attributes_of(request, route),
        )
        self._spans[request] = span
        try:
            yield
        except BaseException as error:
            if isinstance(error, Reject):
                span.set_attribute("http.response.status_code", error.status)
                if error.status >= 500:
                    span.set_status(self._trace.StatusCode.ERROR)
            else:
                span.set_status(self._trace.StatusCode.ERROR, "no answer")
            self.end(request)
            raise
        span.set_attribute("http.response.status_code", 101)

    def end(self, request: Request) -> None:
        """End the span of a connection, if it has one."""
        span = self._spans.pop(request, None)
        if span is not None:
            span.end()

    def around(
        self, kind: type[Resource[Any]], name: str, hook: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Return a hook that does the same in a span of its own.

        Args:
            kind: The class of its resource.
            name: Its name.
            hook: The hook.
        """
        title = f"{kind.__qualname__}.{name}"
        attributes = {"code.function.name": f"{kind.__module__}.{title}"}

        async def traced(*args: Any, **keywords: Any) -> Any:
            client = keywords.get("client", args[0] if args else None)
            request = client.request if isinstance(client, Client) else client
            parent = self._spans.get(request) if isinstance(request, Request) else None
            if parent is not None and name == "disconnected":
                assert isinstance(client, Client)
                self._describe_end(parent, client)
            within = None if parent is None else self._trace.set_span_in_context(parent)
            span = self._tracer.start_span(title, within, attributes=attributes)
            token = self._context.attach(self._trace.set_span_in_context(span, within))
            try:
                return await hook(*args, **keywords)
            except Exception as error:
                self._note(span, error)
                raise
            finally:
                self._context.detach(token)
                span.end()

        return traced

    def _note(self, span: Span, error: Exception) -> None:
        """Record an exception; a Reject is an answer and not an error."""
        if isinstance(error, Reject):
            span.set_attribute("http.response.status_code", error.status)
        else:
            span.record_exception(error)
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(self._trace.StatusCode.ERROR)

    def _describe_end(self, span: Span, client: Client[Any]) -> None:
        counts = client.statistics()
        span.set_attributes(
            {
                "wsframe.close_code": client.close_code or 0,
                "wsframe.messages_received": counts.messages_received,
                "wsframe.messages_sent": counts.messages_sent,
                "wsframe.messages_dropped": counts.messages_dropped,
                "wsframe.bytes_received": counts.bytes_received,
                "wsframe.bytes_sent": counts.bytes_sent,
            }
        )
        if client.close_code == INTERNAL_ERROR:
            span.set_status(self._trace.StatusCode.ERROR)


class TracedPlace:
    """The place of a client, which also ends the span of its connection when it is given back.

    Args:
        place: The place.
        tracing: Has the span.
        request: The request that opened the connection.
    """

    take: Callable[[Hashable, int | None], bool]
    settle: Callable[[], None]

    def __init__(self, place: HeldPlace, tracing: Tracing, request: Request) -> None:
        self._tracing = tracing
        self._request = request
        self.take, self.settle, self._release = place.take, place.settle, place.release

    def release(self) -> None:
        """Give the place back, and end the span."""
        self._release()
        self._tracing.end(self._request)


def attributes_of(request: Request, route: str) -> dict[str, str | int]:
    """Describe a request by the semantic conventions for HTTP servers."""
    host, _, port = (request.headers.get("host") or "").rpartition(":")
    number = whole_number(port, 65535)
    if number is None:
        host = request.headers.get("host") or ""
    found: dict[str, str | int] = {
        "http.request.method": request.method,
        "url.path": request.path,
        "url.scheme": "wss" if request.secure else "ws",
        "network.protocol.name": "websocket",
        "server.address": host,
    }
    if route.startswith("/"):
        found["http.route"] = route
    if number is not None:
        found["server.port"] = number
    if request.host:
        found |= {"client.address": request.host, "client.port": request.port}
    agent = request.headers.get("user-agent")
    if agent:
        found["user_agent.original"] = agent
    return found


def made_tracing(wanted: Any) -> Tracing | None:
    """Make the tracing of the option: spans of the process's provider, of the one given, or none."""
    return None if wanted is False else Tracing(None if wanted is True else wanted)
