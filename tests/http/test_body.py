"""The body of a request, whole or in pieces, and the bodies that are refused."""

from __future__ import annotations

import pytest

from wsframe.http.body import MOST_CHUNKS, BodyReader, check_framing
from wsframe.http.handshake import HeadReader
from wsframe.http.request import Headers
from wsframe.http.responses import Reject


def post(body: bytes = b"", *fields: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST / HTTP/{version}", "Host: a", *fields, "", ""]).encode() + body


def receive(data: bytes, *, max_body: int = 1000, size: int | None = None) -> BodyReader:
    """Take a request in pieces, as a newcomer's task does."""
    head, reader = HeadReader(16384), None
    for at in range(0, len(data), size or len(data)):
        piece = data[at : at + (size or len(data))]
        if reader is not None:
            reader.receive(piece)
        elif head.receive(piece) is not None:
            reader = head.body(max_body)
        if reader is not None and reader.whole:
            break
    assert reader is not None
    return reader


@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"a" * 20, "Content-Length: 20"),
        (b"5\r\naaaaa\r\nA;x=y\r\naaaaaaaaaa\r\n5\r\naaaaa\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        (b"14\r\n" + b"a" * 20 + b"\r\n00\r\nTrailer: t\r\nX: y\r\n\r\n", "Transfer-Encoding: Chunked"),
    ],
)
def test_a_body_is_collected_however_it_comes(body: bytes, field: str, size: int | None) -> None:
    reader = receive(post(body, field), size=size)
    assert (reader.whole, reader.body, len(reader)) == (True, b"a" * 20, 20)


@pytest.mark.parametrize("fields", [[], ["Content-Length: 0"], ["Content-Length: 00"]])
def test_a_request_without_a_body_is_whole_at_once(fields: list[str]) -> None:
    assert receive(post(b"", *fields)).whole
    assert receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").whole


def test_the_bytes_behind_a_body_are_not_part_of_it() -> None:
    reader = receive(post(b"abc" + b"GET / HTTP/1.1\r\n\r\n", "Content-Length: 3"))
    assert (reader.whole, reader.body) == (True, b"abc")


def test_a_peer_is_invited_to_send_as_long_as_nothing_has_come() -> None:
    fields = ("Content-Length: 3", "Expect: 100-continue")
    assert receive(post(b"", *fields)).invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert receive(post(b"a", *fields)).invitation == b""
    assert receive(post(b"abc", *fields)).invitation == b""
    assert receive(post(b"", *fields, version="1.0")).invitation == b""
    assert receive(post(b"", "Content-Length: 3")).invitation == b""


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"B\r\n" + b"a" * 11 + b"\r\n0\r\n\r\n", 413),
        (b"FFFFFFFFFFFFFFFFFFFF\r\n" + b"a" * 11, 413),
        (b"FFFFFFFFFFFFFFFFFFFFFF\r\n", 400),
        (b"5\r\naaaaaa\r\n", 400),
        (b"-5\r\naaaaa\r\n", 400),
        (b"0x5\r\naaaaa\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"0\r\nno field\r\n\r\n", 400),
        (b"5;" + b"x" * 20000, 400),
    ],
)
def test_a_body_that_is_too_large_or_malformed_is_refused(body: bytes, status: int, size: int | None) -> None:
    if size and len(body) > 1000:
        size = 1000
    with pytest.raises(Reject) as refusal:
        receive(post(body, "Transfer-Encoding: chunked"), max_body=10, size=size)
    assert refusal.value.status == status


def test_a_body_of_the_limit_passes() -> None:
    assert receive(post(b"A\r\n" + b"a" * 10 + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), max_body=10).whole


def test_chunks_are_counted_because_each_costs_time() -> None:
    def chunked(count: int) -> bytes:
        return post(b"1\r\na\r\n" * count + b"0\r\n\r\n", "Transfer-Encoding: chunked")

    assert len(receive(chunked(MOST_CHUNKS), max_body=10**6)) == MOST_CHUNKS
    with pytest.raises(Reject, match="413"):
        receive(chunked(MOST_CHUNKS + 1), max_body=10**6)


@pytest.mark.parametrize(
    ("fields", "version", "status"),
    [
        ({"content-length": "11"}, b"1.1", 413),
        ({"content-length": "99999999999999999999"}, b"1.1", 413),
        ({"transfer-encoding": "chunked"}, b"1.0", 411),
        ({"transfer-encoding": "chunked", "content-length": "3"}, b"1.1", 400),
        ({"expect": "the impossible"}, b"1.1", 417),
        ({"content-length": "10", "expect": "100-Continue"}, b"1.1", 0),
        ({"expect": "anything"}, b"1.0", 0),
        ({}, b"1.0", 0),
    ],
)
def test_the_fields_of_a_body_are_checked_before_it_is_read(
    fields: dict[str, str], version: bytes, status: int
) -> None:
    headers = Headers(list(fields.items()))
    if not status:
        check_framing(version, headers, 10)
        return
    with pytest.raises(Reject) as refusal:
        check_framing(version, headers, 10)
    assert refusal.value.status == status
