"""The opening handshake: the head, every refusal, the 101 (RFC 6455 section 4)."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.heads import GOOD, KEY, TOKEN, head_of, judge, read
from wsframe.http.handshake import (
    HeadReader,
    check_not_dropped,
    choose_subprotocol,
    date_of,
    refusal,
    response,
    switching_protocols,
    wants_upgrade,
)
from wsframe.http.other_protocols import HTTP_2, OF_PEERS
from wsframe.http.request import Headers
from wsframe.http.responses import Reject, Response
from wsframe.net.proxy_protocol import encode_proxy_v2

NOW = 784111777.5
"""The example of RFC 9110 section 5.6.7, and half a second."""


def rejection(data: bytes) -> Reject:
    with pytest.raises(Reject) as info:
        judge(data)
    return info.value


def test_a_good_head_becomes_a_request() -> None:
    reader = HeadReader(16384, host="192.0.2.1", port=5000, secure=True)
    request = reader.receive(head_of({"Origin": "https://example.com"}, line="GET /chat?x=1 HTTP/1.1"))
    assert request is not None
    assert (request.method, request.path, request.query_string) == ("GET", "/chat", "x=1")
    assert (request.host, request.port, request.secure) == ("192.0.2.1", 5000, True)
    assert request.origin == "https://example.com"
    assert dict(request.headers)["sec-websocket-key"] == KEY


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_a_head_may_come_in_pieces(size: int) -> None:
    assert read(head_of(), size=size)[0].headers == judge(head_of()).headers


def test_a_head_that_is_not_whole_is_waited_for() -> None:
    reader = HeadReader(16384)
    assert reader.begun_with == b""
    for count, byte in enumerate(head_of()[:-1], 1):
        assert reader.receive(bytes((byte,))) is None
        assert reader.begun_with == head_of()[:count]
    assert reader.receive(b"\n") is not None


@pytest.mark.parametrize("size", [1, 10_000])
def test_what_comes_behind_the_head_is_kept(size: int) -> None:
    """The first frames of a peer that did not wait for the 101."""
    frames = b"\x81\x80abcd" * 100
    _, reader = read(head_of(), size=size)
    assert reader.trailing == b""
    reader = HeadReader(16384)
    assert reader.receive(head_of() + frames) is not None
    assert reader.trailing == frames


@pytest.mark.parametrize("size", [1, 9, 100_000])
def test_a_head_of_the_limit_passes_and_one_byte_more_is_431(size: int) -> None:
    """In one piece and in many; the frames behind do not count."""
    head = head_of()
    assert read(head, len(head), size)[0].path == "/chat"
    with pytest.raises(Reject) as info:
        read(head, len(head) - 1, size)
    assert (info.value.status, info.value.body) == (431, "request head too large")
    assert read(head + b"\x81\x80abcd" * 1000, len(head))[1].trailing


@pytest.mark.parametrize("piece", [b"x" * 1000, b"GET /" + b"a" * 995, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 164])
def test_an_endless_head_is_431_as_soon_as_it_is_too_large(piece: bytes) -> None:
    reader = HeadReader(4000)
    assert reader.receive(piece) is None
    more = b"h: " + b"x" * 95 + b"\r\n" if piece.endswith(b"\n") else b"x" * 100
    for _ in range(len(piece), 4000, 100):
        assert reader.receive(more) is None
    with pytest.raises(Reject) as info:
        reader.receive(b"x")
    assert (info.value.status, info.value.body) == (431, "request head too large")


def test_an_end_before_the_head_is_no_request() -> None:
    with pytest.raises(Reject, match="400, 'malformed request'"):
        HeadReader(4000).receive(b"")


def hostless(head: bytes) -> bytes:
    return head.replace(b"Host: example.com\r\n", b"")


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("line", ["GET /chat HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /chat HTTP/1.0"])
def test_a_head_without_host_is_read_for_health_checks_send_such(line: str, size: int) -> None:
    head = hostless(head_of(line=line))
    assert b"ost:" not in head
    request, reader = read(head + b"more", len(head), size)
    assert "host" not in request.headers
    assert request.headers["upgrade"] == "websocket"
    assert reader.http_version == line[-3:].encode()
    assert (b"more").startswith(reader.trailing)


def test_other_faults_of_a_head_without_host_are_found() -> None:
    for head in (
        head_of(line="GET /a HTTP/1.1", more=["Bad : x"]),
        head_of(line="GET /a HTTP/1.1", more=["Content-Length: 5", "Content-Length: 6"]),
        head_of(line="GET /a HTTP/1.1", more=["A: \x01"]),
        b"GET /a HTTP/1.1\r\n folded: x\r\n\r\n",
    ):
        with pytest.raises(Reject) as info:
            HeadReader(4000).receive(hostless(head))
        assert info.value.status == 400


def test_a_handshake_that_has_lost_its_upgrade_is_426_and_names_the_proxy() -> None:
    changes: list[dict[str, str | None]] = [
        {"Upgrade": None},
        {"Upgrade": None, "Connection": "close"},
        {"Upgrade": "h2c"},
    ]
    for dropped in changes:
        request, _ = read(head_of(dropped))
        with pytest.raises(Reject) as info:
            check_not_dropped(request.headers)
        assert info.value.status == 426
        assert "the proxy in front must speak HTTP/1.1 and pass Upgrade and Connection on" in info.value._reason
        assert dict(info.value.headers)["Upgrade"] == "websocket"
    check_not_dropped(read(head_of({"Sec-WebSocket-Key": None, "Upgrade": None}))[0].headers)


def test_what_is_not_known_of_a_peer_has_its_plain_value() -> None:
    request, _ = read(head_of())
    assert (request.host, request.port, request.secure) == ("", 0, False)


REFUSED = [
    # not HTTP/1
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, OF_PEERS[0][1]),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, HTTP_2),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + head_of(), 400, OF_PEERS[1][1]),
    (encode_proxy_v2(("192.0.2.1", 1)) + head_of(), 400, OF_PEERS[1][1]),
    (b"hello\r\n\r\n", 400, "malformed request"),
    (b"\r\n\r\n\r\n", 400, "malformed request"),
    (head_of(line="GET /chat"), 400, "malformed request"),
    (head_of(line="GET /chat HTTP/1.1 "), 400, "malformed request"),
    (head_of(line="GET  /chat HTTP/1.1"), 400, "malformed request"),
    (head_of(line="GET\t/chat HTTP/1.1"), 400, "malformed request"),
    (head_of(line="GET /a b HTTP/1.1"), 400, "malformed request"),
    (head_of(line="GET /\xe9 HTTP/1.1"), 400, "malformed request"),
    (head_of(line="GET /chat http/1.1"), 400, "malformed request"),
    (head_of(more=["no colon"]), 400, "malformed request"),
    (head_of(more=["Name : value"]), 400, "malformed request"),
    (head_of(more=["Bad\x00: value"]), 400, "malformed request"),
    (head_of(more=["Good: va\x00lue"]), 400, "malformed request"),
    (head_of(more=["Good: va\rlue"]), 400, "malformed request"),
    (head_of(more=["Host: other.com"]), 400, "malformed request"),
    (head_of(more=["Content-Length: 5", "Content-Length: 6"]), 400, "malformed request"),
    (head_of(more=["Content-Length: -1"]), 400, "malformed request"),
    (head_of(more=["Transfer-Encoding: gzip"]), 501, "malformed request"),
    # fields that every request must have
    (head_of({"Host": "ex\xe4mple.com"}), 400, "the Host header is not ASCII"),
    # not a WebSocket
    (head_of({"Upgrade": None}), 426, "no page is registered here, only WebSockets are answered"),
    (head_of({"Upgrade": "h2c"}), 426, "no page is registered here, only WebSockets are answered"),
    (head_of({"Upgrade": "websocket2"}), 426, "no page is registered here, only WebSockets are answered"),
    (head_of({"Upgrade": None}, line="POST /chat HTTP/1.1"), 405, "only GET is answered here"),
    # bad handshakes
    (head_of(line="GET /chat HTTP/1.0"), 400, "a WebSocket handshake needs HTTP/1.1"),
    (head_of(line="GET /chat HTTP/0.9"), 505, "HTTP/1.1 is spoken here"),
    (head_of(line="POST /chat HTTP/1.1"), 405, "a WebSocket handshake is a GET"),
    (head_of(line="get /chat HTTP/1.1"), 405, "a WebSocket handshake is a GET"),
    (head_of(more=["Content-Length: 5"]), 400, "a WebSocket handshake has no body"),
    (head_of(more=["Transfer-Encoding: chunked"]), 400, "a WebSocket handshake has no body"),
    (head_of({"Connection": None}), 400, "the Connection header lacks Upgrade: a proxy in front must pass it on"),
    (
        head_of({"Connection": "keep-alive"}),
        400,
        "the Connection header lacks Upgrade: a proxy in front must pass it on",
    ),
    (head_of({"Connection": "Upgraded"}), 400, "the Connection header lacks Upgrade: a proxy in front must pass it on"),
    (head_of({"Sec-WebSocket-Version": None}), 426, "this server speaks WebSocket version 13"),
    (head_of({"Sec-WebSocket-Version": "8"}), 426, "this server speaks WebSocket version 13"),
    (head_of({"Sec-WebSocket-Version": "13, 8"}), 426, "this server speaks WebSocket version 13"),
    (head_of(more=["Sec-WebSocket-Version: 13"]), 426, "this server speaks WebSocket version 13"),
    (head_of({"Sec-WebSocket-Key": None}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of({"Sec-WebSocket-Key": ""}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of({"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA"}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of({"Sec-WebSocket-Key": f"{KEY[:8]}!{KEY[8:]}"}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of({"Sec-WebSocket-Key": KEY[:-2]}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of({"Sec-WebSocket-Key": KEY[:8] + "-_" + KEY[10:]}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of({"Sec-WebSocket-Key": "\xe9" * 24}), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
    (head_of(more=[f"Sec-WebSocket-Key: {KEY}"]), 400, "Sec-WebSocket-Key is not one key of 16 bytes"),
]


@pytest.mark.parametrize(("data", "status", "body"), REFUSED)
def test_a_refusal_has_its_status_and_says_why(data: bytes, status: int, body: str) -> None:
    reject = rejection(data)
    assert (reject.status, reject.body) == (status, body)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (head_of({"Sec-WebSocket-Version": "8"}), ("Sec-WebSocket-Version", "13")),
        (head_of({"Upgrade": None}), ("Sec-WebSocket-Version", "13")),
        (head_of({"Upgrade": None}), ("Upgrade", "websocket")),
        (head_of(line="PUT /chat HTTP/1.1"), ("Allow", "GET")),
        (head_of({"Upgrade": None}, line="PUT /chat HTTP/1.1"), ("Allow", "GET")),
    ],
)
def test_a_refusal_tells_what_would_pass(data: bytes, field: tuple[str, str]) -> None:
    assert field in rejection(data).headers
    assert f"\r\n{field[0]}: {field[1]}\r\n".encode() in refusal(rejection(data), now=NOW)


@pytest.mark.parametrize(
    "data",
    [
        head_of({"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"}),
        head_of({"Upgrade": "h2c, websocket"}),
        head_of({"Connection": "keep-alive"}, more=["Connection: upgrade"]),
        head_of({"Connection": "  Upgrade\t ", "Sec-WebSocket-Key": f" \t{KEY} "}),
        head_of(line="GET ws://example.com/chat HTTP/1.1"),
        head_of().replace(b"\r\n", b"\n"),
        head_of(more=["X-Folded: one", "  two"]),
        head_of({"Host": ""}),
    ],
)
def test_what_the_rfc_lets_pass_passes(data: bytes) -> None:
    assert judge(data).path == "/chat"


def test_a_request_that_asks_for_no_websocket_is_plain_http() -> None:
    assert wants_upgrade(judge(head_of()).headers)
    assert not wants_upgrade(Headers([("host", "x"), ("upgrade", "h2c")]))


def headers_of(fields: dict[str, str]) -> Headers:
    return Headers([(name.lower(), value) for name, value in fields.items()])


def test_the_101_carries_the_token_of_rfc_6455_section_1_3() -> None:
    answer = switching_protocols(headers_of(GOOD), None, [])
    assert (
        answer
        == (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {TOKEN}\r\n\r\n"
        ).encode()
    )


def test_the_101_carries_the_subprotocol_and_more_fields() -> None:
    answer = switching_protocols(headers_of(GOOD), "chat", [("Set-Cookie", "a=\xe9"), ("Set-Cookie", "c=d")])
    assert b"\r\nSec-WebSocket-Protocol: chat\r\n" in answer
    assert answer.endswith(b"\r\nSet-Cookie: a=\xe9\r\nSet-Cookie: c=d\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nInjected: b"),
        ("X", "a\rb"),
        ("X", "a\nb"),
        ("X", "a\0b"),
        ("X\r\nInjected", "a"),
        ("X\n", "a"),
        ("X: y", "a"),
        ("X\0", "a"),
        ("X ", "a"),
        ("", "a"),
        ("\xe9", "a"),
        ("X", "日本"),
    ],
)
def test_a_field_that_would_break_out_of_its_line_is_not_sent(name: str, value: str) -> None:
    """However it came there: a list of fields can be changed after it was checked."""
    with pytest.raises(ValueError, match="must not be sent"):
        switching_protocols(headers_of(GOOD), None, [(name, value)])
    reject, answer = Reject(), Response()
    reject.headers.append((name, value))
    answer.headers.append((name, value))
    with pytest.raises(ValueError, match="must not be sent"):
        refusal(reject, now=NOW)
    with pytest.raises(ValueError, match="must not be sent"):
        response(answer, now=NOW)


@pytest.mark.parametrize("subprotocol", ["a\r\nb", "a\nb", "a\0b", "日本"])
def test_a_subprotocol_that_would_break_out_of_its_line_is_not_sent(subprotocol: str) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        switching_protocols(headers_of(GOOD), subprotocol, [])


def test_the_accepted_subprotocol_wins() -> None:
    assert choose_subprotocol("b", ["a", "b"], ["a"]) == "b"


def test_an_accepted_subprotocol_must_have_been_offered() -> None:
    with pytest.raises(ValueError, match=r"'c' was not offered; offered were \['a', 'b'\]"):
        choose_subprotocol("c", ["a", "b"], ["c"])


@pytest.mark.parametrize(
    ("offered", "supported", "chosen"),
    [
        (["a", "b"], ["b", "a"], "a"),
        (["a", "b"], ["b"], "b"),
        (["a"], ["A"], None),
        (["a"], [], None),
        ([], ["a"], None),
    ],
)
def test_else_the_peers_first_that_is_supported(offered: list[str], supported: list[str], chosen: str | None) -> None:
    assert choose_subprotocol(None, offered, supported) == chosen
    assert choose_subprotocol(None, offered, iter(supported)) == chosen


def test_a_response_is_whole_and_closes_the_connection() -> None:
    expected = (
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\nConnection: close\r\nX: y\r\n\r\ngrüß"
    )
    assert response(Response("grüß", headers={"X": "y"}), now=NOW) == expected.encode()


def test_the_date_is_that_of_the_second() -> None:
    """Of every status but 101 (RFC 9110 section 6.6.1)."""
    for answer in (
        refusal(Reject(404), now=NOW + 1.4),
        refusal(Reject(500), now=NOW + 1),
        refusal(Reject(302), now=NOW + 1),
    ):
        assert answer.count(b"\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n") == 1
    assert b"Date" not in switching_protocols(headers_of(GOOD), None, [])


@given(st.integers(0, 253_402_300_799))
def test_the_date_is_written_as_mail_writes_it(second: int) -> None:
    assert date_of(second) == formatdate(second, usegmt=True)


def test_a_date_of_ones_own_is_the_one_sent() -> None:
    answer = response(Response(headers={"dAtE": "Thu, 01 Jan 1970 00:00:00 GMT"}), now=NOW)
    assert answer.lower().count(b"date:") == 1
    assert b"\r\ndAtE: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in answer


def test_a_response_to_head_has_no_body_but_its_length() -> None:
    answer = response(Response(b"body"), now=NOW, body=False)
    assert b"\r\nContent-Length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_neither_body_nor_length(status: int) -> None:
    """RFC 9110 sections 8.6 and 15.4.5: a body there would be read as the next answer."""
    answer = response(Response(b"body", status), now=NOW)
    assert answer.endswith(b"\r\nConnection: close\r\n\r\n")
    assert b"Content-Length" not in answer
    assert b"Content-Type" not in answer


def test_a_refusal_has_one_line_that_says_why() -> None:
    assert refusal(Reject(403, body="not you"), now=NOW).endswith(
        b"\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnot you\n"
    )
    assert refusal(Reject(403), now=NOW).endswith(b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert refusal(Reject(302, {"Location": "/x"}), now=NOW).endswith(b"\r\nLocation: /x\r\n\r\n")


def test_a_status_without_a_name_is_sent_without_one() -> None:
    assert refusal(Reject(499), now=NOW).startswith(b"HTTP/1.1 499 \r\n")
