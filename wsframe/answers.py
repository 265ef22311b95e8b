"""Answers to an HTTP request: let a newcomer in, refuse it, or serve it plain HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

__all__ = ["Accept", "HeaderFields", "Reject", "Response"]

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


class Accept:
    """Lets a newcomer in, with what the 101 shall carry.

    Args:
        subprotocol: One of the subprotocols the newcomer offered. None leaves the
            choice to ``Resource.subprotocols``.
        headers: More header fields for the 101. CR, LF and NUL are refused.
        data: What ``client.data`` starts as.

    Source: the values of clws ``resource-accept-connection``.
    """

    __slots__ = ("data", "headers", "subprotocol")

    def __init__(self, subprotocol: str | None = None, headers: HeaderFields = (), data: object = None) -> None:
        self.subprotocol = subprotocol
        self.headers = header_list(headers)
        self.data = data


class Reject(Exception):
    """Refuses a newcomer with an HTTP status; returned or raised by ``accept_client``.

    Args:
        status: An HTTP status code from 300 to 599.
        headers: More header fields for the answer.
        body: Text of the answer; one line that says why serves best.

    Raises:
        ValueError: For a status outside 300 to 599.
    """

    def __init__(self, status: int = 403, headers: HeaderFields = (), body: str = "") -> None:
        if not 300 <= status <= 599:
            raise ValueError(f"a refusal needs an HTTP status from 300 to 599, not {status!r}")
        super().__init__(status, body)
        self.status = status
        self.headers = header_list(headers)
        self.body = body


class Response:
    """A plain HTTP answer, made by ``http_handler`` for a request that is no WebSocket.

    Args:
        body: The content; text is sent as UTF-8.
        status: An HTTP status code from 200 to 599.
        content_type: The ``Content-Type``.
        headers: More header fields.

    Raises:
        ValueError: For a status outside 200 to 599.
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
        self.body = body.encode() if isinstance(body, str) else bytes(body)
        self.status = status
        self.content_type = content_type
        self.headers = header_list(headers)


def header_list(headers: HeaderFields) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)
