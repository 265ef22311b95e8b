"""Plain heads: whatever is read without h11 is read as h11 reads it."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire import upgrade
from wsframe.http.plain_head import read_plain_head

HANDSHAKE = upgrade("/chat?x=1", host="example.com")
PIECES = [
    b"GET ", b"POST ", b"get ", b"/", b"/chat?x=1", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"\r\n", b"\n", b"\r",
    b"Host: a", b"host:a", b"HOST : a", b"Host:", b"X: y", b"X:\t y \t", b"X:", b": y", b" folded", b"\tfolded",
    b"X: \xe4\xff", b"X: a\x00b", b"X: a\x7fb", b"X: a\x0bb", b"\xe4: y", b"Content-Length: 0", b"Content-Length: x",
    b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Cookie: a=b; c=d", b"rest", b"\x81\x80abcd",
]  # fmt: skip


def by_h11(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], int] | None:
    """Read a head with h11; None for a head that it refuses or finds not whole."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    assert (event.method, event.http_version) == (b"GET", b"1.1")
    return event.target, list(event.headers), len(data) - len(connection.trailing_data[0])


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
@example(HANDSHAKE)
@example(HANDSHAKE + b"\x81\x80abcd")
def test_what_is_read_h11_reads_the_same_way(data: bytes) -> None:
    plain = read_plain_head(data)
    assert plain is None or plain == by_h11(data)


@given(st.integers(0, len(HANDSHAKE) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_handshake_with_something_else_in_it_is_read_as_h11_does(at: int, piece: bytes, left_out: int) -> None:
    data = HANDSHAKE[:at] + piece + HANDSHAKE[at + left_out :]
    plain = read_plain_head(data)
    assert plain is None or plain == by_h11(data)


def test_a_plain_handshake_needs_no_h11() -> None:
    target, fields, end = read_plain_head(HANDSHAKE + b"rest") or (b"", [], 0)
    assert target == b"/chat?x=1"
    assert (fields[0], fields[-1]) == ((b"host", b"example.com"), (b"sec-websocket-version", b"13"))
    assert end == len(HANDSHAKE)


@pytest.mark.parametrize("at", [1, 20, len(HANDSHAKE) - 1])
def test_a_head_that_is_not_whole_is_for_h11(at: int) -> None:
    assert read_plain_head(HANDSHAKE[:at]) is None


def test_spaces_without_end_cost_no_more_than_other_bytes() -> None:
    """A pattern that is matched again and again from each of them would take a second here."""
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b" \t" * 4000 + b"\r\n") * 2 + b"\x00"
    assert read_plain_head(data) is None
