"""The answer of ``accept_client`` that lets a newcomer in."""

from __future__ import annotations

from typing import Any, Protocol

from wsframe.http.responses import HeaderFields, header_list

__all__ = ["Accept"]


class Served(Protocol):
    """A resource, as far as is known below it."""

    @property
    def accept_client(self) -> Any: ...


class Accept:
    """Lets a newcomer in, with what the 101 shall carry.

    Args:
        subprotocol: One of the subprotocols the newcomer offered. None leaves the
            choice to ``Resource.subprotocols``.
        headers: More header fields for the 101.
        data: What ``client.data`` starts as.
        deliver_to: Another resource, whose client the newcomer becomes in every respect, its
            limits and ``max_clients`` included. Its ``accept_client`` is not asked. It is
            started if need be, and ends with its last client unless it is registered.

    Raises:
        TypeError: For a field of another type; the text names it.
        ValueError: For a header field with control characters or what is not Latin-1, and for
            fields that are wsframe's: those of the handshake, ``Sec-WebSocket-*`` and those of
            a body.

    Source: the values of clws ``resource-accept-connection``. There a client of another
    mailbox gets its ``disconnected`` from the resource that accepted it; here from the other.
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
        self.subprotocol = subprotocol
        self.headers = header_list(headers, "Accept")
        self.data = data
        self.deliver_to = deliver_to
