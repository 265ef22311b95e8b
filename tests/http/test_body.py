"""The body of a request, whole or in pieces, and the bodies that are refused."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        elif (request := head.receive(piece)) is not None:
            reader = BodyReader(head.http_version, request.headers, max_body)
            if head.trailing and not reader.whole:
                reader.receive(head.trailing)
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
        (b"FFFFFFFFFFFFFFFFF\r\n", 400),
        (b"FFFFFFFFFFFFFFFF\r\n", 413),
        (b"5\naaaaa\n0\n\n", 400),
        (b"5;a\x00\r\naaaaa\r\n", 400),
        (b"0\r\n" + b"A: a\r\n" * 1000, 400),
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


LINES = st.sampled_from([
    b"5", b"0", b"00", b"a", b"A", b"1F", b" 5", b"5 ", b"5;x", b'5;x="y z"', b"5\t;", b"-5", b"0x5", b"", b"T: u",
    b"T u", b"T:", b"\x80", b"5;\x80", b"1000",
])  # fmt: skip
PARTS = st.one_of(
    st.tuples(LINES, st.sampled_from([b"\r\n", b"\n", b"\r", b""])).map(b"".join),
    st.sampled_from([b"5\r\naaaaa\r\n", b"1\r\nb\r\n", b"0\r\n\r\n", b"aaaaa", b"\r\n"]),
)


def read_by_h11(data: bytes) -> bytes | None:
    """Return the body as h11 reads it; None if it refuses it or more is to come."""
    connection, body = h11.Connection(h11.SERVER), b""
    connection.receive_data(data)
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return body
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return None
    except h11.RemoteProtocolError:
        return None


@given(st.lists(PARTS, max_size=12).map(b"".join), st.integers(1, 30))
def test_chunks_are_read_as_h11_reads_them_or_refused(body: bytes, size: int) -> None:
    data = post(body, "Transfer-Encoding: chunked")
    try:
        reader = receive(data, size=size)
    except Reject:
        return
    if reader.whole:
        assert reader.body == read_by_h11(data)
    else:
        assert read_by_h11(data) is None


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 70000))
def test_a_valid_body_is_read_in_any_pieces(chunks: list[bytes], size: int) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"
    reader = receive(post(body, "Transfer-Encoding: chunked"), size=size)
    assert (reader.whole, reader.body) == (True, b"".join(chunks))
