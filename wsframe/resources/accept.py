"""The answer of ``accept_client`` that lets a client in."""

from __future__ import annotations

from typing import Any, Protocol

from wsframe.http.responses import HeaderFields, header_list

__all__ = ["Accept"]


class Served(Protocol):
    """A resource, as far as is known below it."""

    @property
    def accept_client(self) -> Any: ...


class Accept:
    """Lets a client in, with more header fields for the 101, a subprotocol or data.

    Args:
        subprotocol: One of the subprotocols the client offered. None leaves the
            choice to ``Resource.subprotocols``.
        headers: More header fields for the 101.
        data: The first value of ``client.data``.
        deliver_to: Another resource, whose client it becomes in every respect, including limits
            and ``max_clients``. Nothing calls its ``accept_client``. The server starts it if
            it is not running; unless it is registered, it ends with its last client.

    Raises:
        TypeError: For a field of another type; the text names it.
        ValueError: For a header field with control characters or characters beyond Latin-1, and for
            fields that wsframe sends itself: those of the handshake, ``Sec-WebSocket-*`` and those
            of a body.
    """

    __slots__ = ("data", "deliver_to", "headers", "subprotocol")

    def __init__(
        self,
        subprotocol: str | None = None,
        headers: HeaderFields = (),
        data: object = None,
        *,
        deliver_to: Served | None = None,
    ) -> None:
        if not isinstance(subprotocol, str | None):
            raise TypeError(f"Accept(subprotocol=...) is a str or None, not {type(subprotocol).__name__}")
        if deliver_to is not None and (isinstance(deliver_to, type) or not hasattr(deliver_to, "accept_client")):
            raise TypeError(f"Accept(deliver_to=...) is a resource, an object and no class, not {deliver_to!r}")
        self.subprotocol: str | None = subprotocol
        self.headers: list[tuple[str, str]] = header_list(headers, "Accept")
        self.data: object = data
        self.deliver_to: Served | None = deliver_to
