"""Equal forms of a request head: space is SP and HTAB alone, and forms that no client sends are refused."""

from __future__ import annotations

import pytest

from tests.wire import upgrade
from wsframe.http.handshake import (
    HeadReader,
    check_head,
    check_upgrade,
    choose_subprotocol,
    plain_refused,
    wants_upgrade,
)
from wsframe.http.origins import any_origin, host_allowed, origin_prefix, same_origin
from wsframe.http.request import Headers, Request
from wsframe.http.responses import Reject

HEAD = upgrade("/chat")
# Characters of Latin-1 that str.strip() takes off beside SP and HTAB.
SPACES = [byte for byte in range(256) if chr(byte).isspace() and byte not in b" \t\r\n"]


def asked(data: bytes, size: int = 100_000) -> tuple[int, str]:
    """Return the status that a head gets, 101 if it is let through, and why."""
    reader, request = HeadReader(16384), None
    try:
        for at in range(0, len(data), size):
            request = request or reader.receive(data[at : at + size])
        assert request is not None
        check_head(request.headers)
        if not wants_upgrade(request.headers):
            raise plain_refused(request)
        check_upgrade(reader.http_version, request, request.headers)
    except Reject as reject:
        return reject.status, reject.body
    return (101, "") if host_allowed(request.headers.get("host", ""), None) else (400, "Host")


def with_field(field: bytes) -> bytes:
    return HEAD.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n")


@pytest.mark.parametrize("byte", SPACES)
@pytest.mark.parametrize("value", [b"Upgrade: websocket", b"Connection: Upgrade", b"25jZQ==", b"Version: 13"])
def test_only_sp_and_htab_are_space_around_a_word(value: bytes, byte: int) -> None:
    """A proxy whose rule forbids ``Upgrade: websocket`` does not see it in ``websocket\\xa0``."""
    for word in (value + bytes([byte]), value + b" " + bytes([byte]), value.replace(b": ", b": " + bytes([byte]))):
        if word != value:
            status, _ = asked(HEAD.replace(value, word))
            assert 400 <= status < 500, word


@pytest.mark.parametrize("space", [b" ", b"\t", b" \t ", b""])
@pytest.mark.parametrize("value", [b"Upgrade: websocket", b"Connection: Upgrade"])
def test_sp_and_htab_are_space(value: bytes, space: bytes) -> None:
    name, _, word = value.partition(b": ")
    for written in (name + b":" + space + word + space, name + b":" + space + b"x" + space + b"," + space + word):
        assert asked(HEAD.replace(value, written)) == (101, "")


@pytest.mark.parametrize("byte", SPACES)
def test_a_subprotocol_is_no_other_for_a_space_of_another_alphabet(byte: int) -> None:
    headers = Headers([("sec-websocket-protocol", f"chat{chr(byte)}, {chr(byte)}chat")])
    assert "chat" not in headers.tokens("sec-websocket-protocol")
    assert choose_subprotocol(None, headers.tokens("sec-websocket-protocol"), ["chat"]) is None


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("version", ["0.9", "1.2", "1.9", "2.0", "3.0", "9.9"])
def test_another_version_of_http_is_refused(version: str, size: int) -> None:
    data = HEAD.replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    assert asked(data, size) == (505, "HTTP/1.1 is spoken here")


def test_the_preface_of_http_2_is_refused() -> None:
    assert asked(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")[0] == 505


@pytest.mark.parametrize("byte", [byte for byte in [*range(32), 127] if byte not in b"\t\r\n"])
@pytest.mark.parametrize("field", [b"X: a?b", b"X: ?", b"Origin: http://localhost?", b"Cookie: a=b?", b"X: a\r\n ?b"])
def test_control_characters_in_a_field_are_refused(field: bytes, byte: int) -> None:
    assert asked(with_field(field.replace(b"?", bytes([byte]))))[0] == 400


@pytest.mark.parametrize(
    "host",
    ["local\thost", "local host", "localhost, evil", "localhost\t:80", "evil@localhost", "localhost/x", "localhost?x",
     "localhost#x", "local\\host", "[::1", "::1]", "[::1]x", "[::1]:80:80", "a:b", "localhost:80x", "lo^al",
     "ho\xe9st"],
)  # fmt: skip
def test_a_host_that_is_none_is_refused(host: str) -> None:
    assert asked(HEAD.replace(b"localhost", host.encode("latin-1")))[0] == 400


@pytest.mark.parametrize("host", ["localhost", "a_b.example.", "127.0.0.1:80", "[::1]:80", "[fe80::1%251]", "x:", ""])
def test_a_host_that_is_one_is_taken(host: str) -> None:
    assert asked(HEAD.replace(b"localhost", host.encode())) == (101, "")


@pytest.mark.parametrize(
    "field",
    [b"Origin: http://local\thost", b"Origin: http://localhost\r\nOrigin: http://localhost",
     b"Origin: http://localhost\r\nOrigin: http://evil.example", b"Origin: http://localhost\r\norigin:"],
)  # fmt: skip
def test_a_tab_in_an_origin_and_a_second_one_are_refused(field: bytes) -> None:
    assert asked(with_field(field)) == (400, "the Origin header is malformed")


NOT_ORIGINS = [
    "http://localhost/", "http://localhost/x", "http://evil@localhost", "http://evil:x@localhost", "http://localhost?",
    "http://localhost?.evil.com", "http://localhost#", "http://localhost#.evil.com", "http://localhost\\.evil.com",
    "http://localhost http://evil.com", " http://localhost", "http:localhost", "//localhost", "localhost", "",
    "http://localhost:80/", "http://localhost:@evil.com",
]  # fmt: skip


@pytest.mark.parametrize("origin", NOT_ORIGINS)
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    request = Request("/", [(b"Host", b"localhost"), (b"Origin", origin.encode("latin-1"))])
    assert same_origin(request) is False
    assert any_origin(request) is True


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:x@evil.com", "http://localhost:@evil.com", "http://localhost/@evil.com", "http://local\thost",
     "http://localhost:80\\@evil.com", "http://localhost/?", "http://localhost:1#"],
)  # fmt: skip
def test_a_prefix_names_the_host_of_what_it_admits(origin: str) -> None:
    request = Request("/", [(b"Host", b"localhost"), (b"Origin", origin.encode())])
    assert origin_prefix("http://localhost", "http://local")(request) is False


@pytest.mark.parametrize("value", ["0", "00", "000000", "0, 0"])
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_length_of_zero_is_no_body(value: str, size: int) -> None:
    """The JDK's client, Envoy and household devices send it."""
    assert asked(with_field(f"Content-Length: {value}".encode()), size) == (101, "")


@pytest.mark.parametrize(
    "field",
    ["Content-Length: 5", "Content-Length: 010", "Content-Length: -0", "Content-Length: +0", "Content-Length: 0x0",
     "Content-Length: 0 0", "Content-Length: ", "Content-Length: 0\r\nContent-Length: 5", "Content-Length: 0, 5",
     "Content-Length: 0\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked", "Content-Length: 0.0",
     "Content-Length: \xb2", "Content-Length: 0\xa0"],
)  # fmt: skip
def test_any_other_length_is_refused(field: str) -> None:
    assert asked(with_field(field.encode("latin-1")))[0] in (400, 501)


@pytest.mark.parametrize("line", [b"a:\r\n", b"X: y\r\n", b" folded\r\n", b"a:\n"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("by_h11", [b"", b"Expect: 100-continue\r\n"])
def test_a_head_of_too_many_lines_is_refused(line: bytes, size: int, by_h11: bytes) -> None:
    """A line costs its sender 4 bytes."""
    few = with_field(by_h11 + b"X: y\r\n" + line * 200 + b"Y: z")
    many = with_field(by_h11 + b"X: y\r\n" + line * 300 + b"Y: z")
    assert asked(few, size)[0] == 101
    assert asked(many, size) == (431, "too many header fields")


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_what_comes_behind_the_head_is_no_line_of_it(cut: int) -> None:
    reader = HeadReader(16384)
    assert reader.receive(HEAD[:-cut]) is None
    assert reader.receive(HEAD[-cut:] + b"\n" * 1000) is not None
    assert HeadReader(16384).receive(HEAD + b"\n" * 1000) is not None


EMPTY = [b"\r\n", b"\r\n\r\n"]
FORMS = [HEAD, HEAD.replace(b"/chat", b"http://localhost/chat"), with_field(b"Content-Length: 0")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100_000])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("empty", EMPTY)
def test_two_empty_lines_before_a_request_are_ignored(empty: bytes, form: bytes, size: int) -> None:
    """RFC 9112 section 2.2. Some clients end the request before with one too many."""
    assert asked(empty + form, size) == (101, "")


@pytest.mark.parametrize("cut", range(1, 7))
@pytest.mark.parametrize("empty", EMPTY)
def test_empty_lines_are_ignored_wherever_they_are_cut(empty: bytes, cut: int) -> None:
    reader, data = HeadReader(16384), empty + HEAD
    before, request = reader.begun_with, reader.receive(data[:cut])
    assert (before, request, reader.begun_with) == (b"", None, data[:cut])
    request = reader.receive(data[cut:] + b"rest")
    assert request is not None
    assert (request.path, reader.trailing) == ("/chat", b"rest")


@pytest.mark.parametrize("size", [1, 2, 100_000])
@pytest.mark.parametrize(
    "start",
    [b"\r\n" * 3, b"\r\n" * 4000, b"\r", b"\r\r\n", b"\n", b"\n\n", b"\r\n\n", b"\r\n\r", b" \r\n", b"\r\n ", b"\t",
     b"\x00\r\n", b"\r\n\x00", b"\x0b\r\n", b"\r\n\r\n\r", b"\r\n\r\n\n"],
)  # fmt: skip
def test_anything_else_before_a_request_is_refused(start: bytes, size: int) -> None:
    assert asked(start + HEAD, size)[0] == 400


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("empty", [b"", *EMPTY])
def test_empty_lines_before_a_request_count_in_its_size(empty: bytes, size: int) -> None:
    data = empty + with_field(b"X: " + b"y" * 300)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    whole, short = HeadReader(len(data)), HeadReader(len(data) - 1)
    assert [whole.receive(piece) for piece in pieces][-1] is not None
    with pytest.raises(Reject) as info:
        assert not any(short.receive(piece) for piece in pieces)
    assert info.value.status == 431


def test_a_request_without_host_can_come_after_an_empty_line_too() -> None:
    reader = HeadReader(16384)
    request = reader.receive(b"\r\nGET / HTTP/1.1\r\nX: y\r\n\r\n")
    assert request is not None
    assert request.headers.get("host") is None


def test_empty_lines_behind_a_request_are_not_before_another() -> None:
    reader = HeadReader(16384)
    assert reader.receive(HEAD + b"\r\n" * 5) is not None
    assert reader.trailing == b"\r\n" * 5
