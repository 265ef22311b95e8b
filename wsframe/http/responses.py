"""Answers to an HTTP request: let a newcomer in, refuse it, or serve it plain HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from re import compile as pattern
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from wsframe.resources.resource import Resource

__all__ = ["Accept", "HeaderFields", "Reject", "Response"]

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Header fields, as a mapping of names to values or as pairs where a name comes twice."""

FIELD_NAME = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# CR, LF and NUL would break out of the line; HTTP/1.1 carries Latin-1.
FIELD_VALUE = pattern("[^\0\r\n\u0100-\U0010ffff]*")


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
        ValueError: For a header field with CR, LF, NUL or what is not Latin-1.

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
        deliver_to: Resource | None = None,
    ) -> None:
        self.subprotocol = subprotocol
        self.headers = header_list(headers)
        self.data = data
        self.deliver_to = deliver_to


class Reject(Exception):
    """Refuses a newcomer with an HTTP status; returned or raised by ``accept_client``.

    Args:
        status: An HTTP status code from 300 to 599.
        headers: More header fields for the answer.
        body: Text of the answer; one line that says why serves best.

    Raises:
        ValueError: For a status outside 300 to 599, and for a header field as in :class:`Accept`.
    """

    def __init__(self, status: int = 403, headers: HeaderFields = (), body: str = "") -> None:
        if not 300 <= status <= 599:
            raise ValueError(f"a refusal needs an HTTP status from 300 to 599, not {status!r}")
        super().__init__(status, body)
        self.status = status
        self.headers = header_list(headers)
        self.body = body

    @property
    def _reason(self) -> str:
        """The body for a log line: what a peer sent may be in it, and a line break would forge a line of its own."""
        return self.body if self.body.isprintable() else repr(self.body)


class Response:
    """A plain HTTP answer, made by ``http_handler`` for a request that is no WebSocket.

    Args:
        body: The content; text is sent as UTF-8.
        status: An HTTP status code from 200 to 599.
        content_type: The ``Content-Type``.
        headers: More header fields.

    Raises:
        ValueError: For a status outside 200 to 599, and for a header field as in :class:`Accept`.
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: str | bytes = b"",
        status: int = 200,
        *,
        content_type: str = "text/plain; charset=utf-8",
        headers: HeaderFields = (),
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"a response needs an HTTP status from 200 to 599, not {status!r}")
        # bytes(404) would be 404 octets: a status in the place of the body must not pass.
        self.body = body.encode() if isinstance(body, str) else bytes(memoryview(body))
        self.status = status
        self.content_type = content_type
        self.headers = header_list(headers)


def header_list(headers: HeaderFields) -> list[tuple[str, str]]:
    """Make a list of fields, checked where they are made: there the traceback names the culprit."""
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    for name, value in fields:
        check_field(name, value)
    return fields


def check_field(name: str, value: str) -> None:
    """Check that a header field can be sent.

    Raises:
        ValueError: If it would break out of its line, or is not Latin-1.
    """
    if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
        raise ValueError(f"header field {name!r}: {value!r} may not be sent")
