"""Request heads of newcomers."""

from __future__ import annotations

from tests.wire import KEY
from wsframe.http.handshake import HeadReader, check_head, check_upgrade, plain_refused, wants_upgrade
from wsframe.http.request import Request

__all__ = ["GOOD", "KEY", "TOKEN", "head_of", "judge", "read"]

# The example of RFC 6455 section 1.3.
TOKEN = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

GOOD = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def head_of(
    fields: dict[str, str | None] | None = None, *, line: str = "GET /chat HTTP/1.1", more: list[str] | None = None
) -> bytes:
    """Make the head of a good handshake with some fields replaced (None: left out) and some lines more."""
    kept = {name: value for name, value in {**GOOD, **(fields or {})}.items() if value is not None}
    lines = [line, *(f"{name}: {value}" for name, value in kept.items()), *(more or []), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def read(data: bytes, max_head: int = 16384, size: int | None = None) -> tuple[Request, HeadReader]:
    """Read a whole head, in pieces of ``size``; stop as soon as it is whole, as admission does."""
    reader = HeadReader(max_head)
    size = size or len(data)
    for at in range(0, len(data), size):
        request = reader.receive(data[at : at + size])
        if request is not None:
            return request, reader
    raise AssertionError("the head is not whole")


def judge(data: bytes) -> Request:
    """Read and check a head as admission does."""
    request, reader = read(data)
    check_head(request.headers)
    if not wants_upgrade(request.headers):
        raise plain_refused(request)
    check_upgrade(reader.http_version, request, request.headers)
    return request
