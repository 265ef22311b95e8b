"""Answers to an HTTP request: let a newcomer in, refuse it, or serve it plain HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import uniform
from re import compile as pattern
from typing import Any, Literal, TypeAlias

from wsframe.exceptions import rebuilt
from wsframe.http.request import Request
from wsframe.log import LONGEST_QUOTE, LONGEST_REASON, escaped, quoted

__all__ = ["RETRY_AFTER", "HeaderFields", "HttpHandler", "Reject", "Response", "explained", "retry_later"]

RETRY_AFTER = ("Retry-After", "5")
"""The header field of every 503."""

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Header fields, as a mapping of names to values or as pairs where a name comes twice."""

FIELD_NAME = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Control characters would break out of the line, or confuse its reader; HTTP/1.1 carries Latin-1.
FIELD_VALUE = pattern("[\t\x20-\x7e\x80-\xff]*")

# wsframe ends the connection after each answer, and frames it: another word on that would smuggle.
FRAMING = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding"})
HANDSHAKE = FRAMING | {"upgrade"}


class Reject(Exception):
    """Refuses a newcomer with an HTTP status; returned or raised by ``accept_client``.

    Raised by ``client_connected`` it closes the client as :meth:`Client.reject` does, with 1008
    and ``body`` as the reason.

    Args:
        status: An HTTP status code from 300 to 599.
        headers: More header fields for the answer; a ``Content-Type`` or ``Date`` replaces ours.
        body: Text of the answer; one line that says why serves best.

    Raises:
        TypeError: For a field of another type, such as a status of ``403.0`` or a body of bytes;
            the text names it.
        ValueError: For a status outside 300 to 599, a body with a lone surrogate, and for a
            header field as in :class:`Response`.
    """

    _ours = False
    _maker = ""

    def __init__(self, status: int = 403, headers: HeaderFields = (), body: str = "") -> None:
        self.status: int = checked_status(status, 300, "Reject")
        if not isinstance(body, str):
            raise TypeError(f"Reject(body=...) is a str, not {type(body).__name__}")
        self.body: str = str.__str__(body)
        self.headers: list[tuple[str, str]] = header_list(headers, "Reject")
        encoded(self.body, "Reject")
        super().__init__(self.status, self.body)

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (type(self), self.args, self.__dict__)  # the default puts the body in the place of headers

    @property
    def _reason(self) -> str:
        """The body for a log line: peer input may be in it, and a line break would forge a line of its own."""
        return escaped(self.body or self._maker, LONGEST_REASON if self._ours else LONGEST_QUOTE)


def refusing(status: int, body: str) -> Reject:
    """Make a refusal of wsframe's own, in whose body peer input is cut already."""
    reject = Reject(status, body=body)
    reject._ours = True
    return reject


def explained(reject: Reject, maker: str) -> Reject:
    """Return a refusal whose log line names its maker if it has no body to give a reason."""
    if reject.body:
        return reject
    # Another object, because programs raise one for several resources; no copy, which code of theirs could refuse.
    named = Reject.__new__(Reject)
    named.status, named.headers, named.body = reject.status, reject.headers, reject.body
    named._maker = maker
    return named


class Response:
    """A plain HTTP answer, made by ``http_handler`` for a plain HTTP request.

    Args:
        body: The content; text is sent as UTF-8.
        status: An HTTP status code from 200 to 599.
        content_type: The ``Content-Type``.
        headers: More header fields; a ``Content-Type`` or ``Date`` replaces ours.

    Raises:
        TypeError: For a field of another type; the text names it.
        ValueError: For a status outside 200 to 599, a body with a lone surrogate, a header field
            with control characters or characters beyond Latin-1, and for the fields that frame the
            answer, such as ``Content-Length``, ``Transfer-Encoding`` and ``Connection``.
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
        self.status: int = checked_status(status, 200, "Response")
        if isinstance(body, str):
            self.body: bytes = encoded(str.__str__(body), "Response")
        elif isinstance(body, bytes | bytearray | memoryview):
            self.body = body if type(body) is bytes else bytes(memoryview(body))
        else:  # a status in the place of the body must not pass
            raise TypeError(f"Response(body=...) is str or bytes, not {type(body).__name__}")
        if not isinstance(content_type, str):
            raise TypeError(f"Response(content_type=...) is a str, not {type(content_type).__name__}")
        check_field("Content-Type", content_type)
        self.content_type: str = content_type
        self.headers: list[tuple[str, str]] = header_list(headers, "Response")

    @property
    def length(self) -> int:
        """How many bytes the content has."""
        return len(self.body)

    @property
    def held(self) -> int:
        """How many of them are in memory at once."""
        return len(self.body)


class FileResponse(Response):
    """A response whose content is read part by part while the peer takes it.

    Args:
        length: How many bytes the content has.
        read: Returns the bytes at an offset, at least one and at most ``part``.
        part: How many bytes are in memory at once.
        content_type, headers: As for :class:`Response`.
    """

    __slots__ = ("_length", "_part", "read")

    def __init__(
        self,
        length: int,
        read: Callable[[int], Awaitable[bytes]],
        part: int,
        *,
        content_type: str,
        headers: HeaderFields,
    ) -> None:
        super().__init__(content_type=content_type, headers=headers)
        self._length = length
        self._part = part
        self.read: Callable[[int], Awaitable[bytes]] = read

    @property
    def length(self) -> int:
        return self._length

    @property
    def held(self) -> int:
        return self._part


HttpHandler: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Answers a plain HTTP request."""


def checked_status(status: object, least: int, owner: str) -> int:
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError(f"{owner}(status=...) is an int, not {status!r}")
    if not least <= status <= 599:
        raise ValueError(f"{owner}(status=...) is an HTTP status from {least} to 599, not {status!r}")
    return int(status)


def encoded(body: str, owner: str) -> bytes:
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{owner}(body=...) has a lone surrogate at {error.start}: it cannot be sent") from None


def header_list(
    headers: HeaderFields, owner: Literal["Accept", "Reject", "Response", ""] = ""
) -> list[tuple[str, str]]:
    """Make a list of fields, checked where they are made: there the traceback names the culprit.

    Args:
        headers: The fields.
        owner: The class that has them; empty for the fields of a request.

    Raises:
        TypeError: For anything but fields.
        ValueError: For a field that must not be sent, or that its maker cannot set.
    """
    given: Any = headers
    place = f"{owner}(headers=...)" if owner else "headers"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{place}: a mapping or pairs of str are needed, not {type(given).__name__}")
    fields: list[tuple[str, str]] = []
    for field in given.items() if isinstance(given, Mapping) else given:
        if not isinstance(field, tuple | list) or len(field) != 2:
            raise TypeError(f"{place}: a mapping or pairs of str are needed, and {field!r} is not a pair")
        name, value = field
        check_field(name, value)
        if owner:
            check_owner(name, owner)
        fields.append((str.__str__(name), str.__str__(value)))
    return fields


def check_owner(name: str, owner: str) -> None:
    lower = name.lower()
    if lower in (HANDSHAKE if owner == "Accept" else FRAMING) or (
        owner == "Accept" and lower.startswith("sec-websocket-")
    ):
        instead = "; give it as Accept(subprotocol=...)" if lower == "sec-websocket-protocol" else ""
        raise ValueError(f"{owner}(headers=...) must not hold {name}, which wsframe sends itself{instead}")


def check_field(name: object, value: object) -> None:
    """Check that a header field can be sent.

    Raises:
        TypeError: If name or value is not a str.
        ValueError: If it would break out of its line, or is not Latin-1.
    """
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header field {name!r}: {value!r}: name and value are str")
    if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
        raise ValueError(f"header field {quoted(name)}: {quoted(value)} must not be sent")


def retry_later(reason: str) -> Reject:
    """Make a refusal after which clients do not come back all at the same time."""
    return Reject(503, [("Retry-After", str(round(uniform(1, 5))))], reason)
