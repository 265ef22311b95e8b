"""The client's half of the opening handshake: its request, honest answers, and servers that lie."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.client_handshake import HandshakeFailed, HandshakeRejected, Upgrade, Upgraded
from wsframe.http.handshake import HeadReader, check_upgrade
from wsframe.http.responses import HeaderFields
from wsframe.protocol.deflate import Deflate


def upgrade(
    headers: HeaderFields = (),
    subprotocols: tuple[str, ...] = (),
    deflate: Deflate | None = None,
    max_head: int = 4096,
    max_body: int = 100,
) -> Upgrade:
    return Upgrade(
        "/chat?room=1", "example.com", headers=headers, subprotocols=subprotocols, deflate=deflate,
        max_head=max_head, max_body=max_body,
    )  # fmt: skip


def accept_for(asked: Upgrade) -> str:
    key = asked.headers["sec-websocket-key"].encode()
    return b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def answer(asked: Upgrade, *more: str, **fields: str | None) -> bytes:
    """Make a 101; ``fields`` replace those it must have, None leaves one out."""
    wanted: dict[str, str | None] = {"Upgrade": "websocket", "Connection": "Upgrade", "Accept": accept_for(asked)}
    wanted |= fields
    names = {"Accept": "Sec-WebSocket-Accept"}
    lines = ["HTTP/1.1 101 Switching Protocols"]
    lines += [f"{names.get(name, name)}: {value}" for name, value in wanted.items() if value is not None]
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")


def feed(asked: Upgrade, *pieces: bytes) -> None:
    """Pass bytes on; a piece that is empty is EOF."""
    for piece in pieces:
        asked.receive(piece)


def upgraded(asked: Upgrade, raw: bytes) -> Upgraded:
    result = asked.receive(raw)
    assert result is not None
    return result


def test_our_server_takes_the_request() -> None:
    asked = upgrade({"Origin": "https://example.com"}, ("chat", "superchat"), Deflate.shared())
    reader = HeadReader(4096)
    request = reader.receive(asked.request)
    assert request is not None
    check_upgrade(reader.http_version, request, request.headers)
    assert (request.path, request.query_string) == ("/chat", "room=1")
    assert request.headers["host"] == "example.com"
    assert request.origin == "https://example.com"
    assert request.subprotocols == ["chat", "superchat"]
    assert request.headers["user-agent"] == "wsframe"
    assert request.headers.fields() == asked.headers.fields()


def test_each_request_has_a_key_of_its_own() -> None:
    keys = {upgrade().headers["sec-websocket-key"] for _ in range(20)}
    assert len(keys) == 20
    assert {len(b64decode(key)) for key in keys} == {16}


def test_host_and_user_agent_may_be_replaced() -> None:
    asked = upgrade([("host", "other.example"), ("USER-AGENT", "mine")])
    assert asked.headers.getall("host") == ["other.example"]
    assert asked.headers.getall("user-agent") == ["mine"]


@pytest.mark.parametrize(
    "name",
    ["Upgrade", "connection", "Sec-WebSocket-Key", "sec-websocket-protocol", "Content-Length", "Transfer-Encoding"],
)
def test_the_handshake_s_own_fields_cannot_be_set(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        upgrade({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nX: y", "\0", "\u0100"])
def test_a_field_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        upgrade({"X": value})


@pytest.mark.parametrize("names", [("a b",), ("",), ("a,b",), ("chat", "chat")])
def test_a_subprotocol_is_a_token_and_offered_once(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"must not be sent|twice"):
        upgrade(subprotocols=names)


def test_what_h11_would_not_send_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        Upgrade("/a b", "example.com", max_head=1, max_body=1)


def test_a_101_upgrades() -> None:
    asked = upgrade(subprotocols=("chat",), deflate=Deflate.shared())
    extension = "permessage-deflate; server_no_context_takeover"
    raw = answer(asked, "Sec-WebSocket-Protocol: chat", f"Sec-WebSocket-Extensions: {extension}", "X-Seen: 1")
    result = upgraded(asked, raw + b"\x81\x02hi")
    assert result.subprotocol == "chat"
    assert result.terms is not None
    assert result.terms.answer == extension
    assert result.trailing == b"\x81\x02hi"
    assert result.headers["x-seen"] == "1"


def test_tokens_are_compared_without_case_and_in_lists() -> None:
    asked = upgrade()
    assert upgraded(asked, answer(asked, Upgrade="WebSocket", Connection="keep-alive, UPGRADE")).subprotocol is None


def test_interim_answers_are_skipped() -> None:
    asked = upgrade()
    assert asked.receive(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") is None
    assert upgraded(asked, answer(asked)).trailing == b""


@given(st.data())
def test_an_answer_may_come_in_any_pieces(data: st.DataObject) -> None:
    asked = upgrade()
    raw = answer(asked) + b"\x81\x00"
    end = len(raw) - 2
    at, result = 0, None
    while result is None:
        step = data.draw(st.integers(1, 40))
        result = asked.receive(raw[at : at + step])
        at += step
    assert at >= end
    assert b"\x81\x00".startswith(result.trailing)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Upgrade": None}, "Upgrade"),
        ({"Upgrade": "h2c"}, "Upgrade"),
        ({"Upgrade": "websocket, h2c"}, "Upgrade"),
        ({"Upgrade": "websocket\r\nUpgrade: websocket"}, "Upgrade"),
        ({"Connection": None}, "Connection"),
        ({"Connection": "close"}, "Connection"),
        ({"Accept": None}, "Sec-WebSocket-Accept"),
        ({"Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "Sec-WebSocket-Accept"),
    ],
)
def test_a_101_without_what_it_must_have_fails(fields: dict[str, str | None], reason: str) -> None:
    asked = upgrade()
    with pytest.raises(HandshakeFailed, match=reason):
        asked.receive(answer(asked, **fields))


@pytest.mark.parametrize(
    "line",
    [
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: x-unknown",
    ],
)
def test_a_101_with_what_was_not_asked_for_fails(line: str) -> None:
    asked = upgrade()
    with pytest.raises(HandshakeFailed, match=r"subprotocol|extensions"):
        asked.receive(answer(asked, line))


def test_two_subprotocols_fail() -> None:
    asked = upgrade(subprotocols=("a", "b"))
    with pytest.raises(HandshakeFailed, match="subprotocol"):
        asked.receive(answer(asked, "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"))


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_a_head_over_the_limit_fails(size: int) -> None:
    asked = upgrade(max_head=1000)
    raw = answer(asked, *[f"X-{number}: {'x' * 90}" for number in range(1000)])
    with pytest.raises(HandshakeFailed, match=r"too large|not HTTP"):
        feed(asked, *[raw[at : at + size] for at in range(0, len(raw), size)])


def test_interim_answers_without_end_fail() -> None:
    asked = upgrade(max_head=1000)
    with pytest.raises(HandshakeFailed, match="too large"):
        feed(asked, *[b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 1000)


@pytest.mark.parametrize("raw", [b"\x81\x02hi", b"220 mail.example ESMTP\r\n", b"HTTP/2 101\r\n\r\n", b"\r\n" * 9])
def test_what_is_not_http_fails(raw: bytes) -> None:
    asked = upgrade()
    with pytest.raises((HandshakeFailed, ConnectionResetError)):
        feed(asked, raw, b"")


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_else(raw: bytes) -> None:
    asked = upgrade()
    with pytest.raises((HandshakeFailed, ConnectionResetError)):
        feed(asked, b"HTTP/1.1 " + raw, b"")


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 101 Swi"])
def test_the_end_before_the_answer_is_an_os_error(raw: bytes) -> None:
    asked = upgrade()
    with pytest.raises(ConnectionResetError, match="before it answered"):
        feed(asked, *filter(None, [raw]), b"")


def test_http_1_0_has_no_101() -> None:
    asked = upgrade()
    with pytest.raises(HandshakeFailed, match=r"HTTP/1\.0"):
        asked.receive(answer(asked).replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def rejected(asked: Upgrade, *pieces: bytes) -> HandshakeRejected:
    with pytest.raises(HandshakeRejected) as caught:
        feed(asked, *pieces)
    return caught.value


@pytest.mark.parametrize("status", [200, 204, 301, 401, 404, 503])
def test_another_status_is_a_rejection(status: int) -> None:
    head = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"
    error = rejected(upgrade(), head.encode())
    assert (error.status, error.body) == (status, b"")
    assert error.headers["retry-after"] == "5"
    assert str(error) == f"the server answered {status}"


def test_the_reason_of_a_rejection_is_in_its_text() -> None:
    reason = b"members only\n\x1b[2J" + b"x" * 300
    error = rejected(upgrade(), b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % len(reason) + reason)
    assert reason.startswith(error.body)
    assert str(error).startswith("the server answered 403: members only \N{REPLACEMENT CHARACTER}[2J")
    assert len(str(error)) < 240


BODIES = [
    b"Content-Length: 4\r\n\r\nno!\n",
    b"Transfer-Encoding: chunked\r\n\r\n4\r\nno!\n\r\n0\r\n\r\n",
    b"\r\nno!\n",
]


@pytest.mark.parametrize("rest", BODIES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_body_of_a_rejection_is_kept(rest: bytes, size: int) -> None:
    raw = b"HTTP/1.1 403 Forbidden\r\n" + rest
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert rejected(upgrade(), *pieces, b"").body == b"no!\n"


@pytest.mark.parametrize("head", [b"\r\n", b"Content-Length: 99999\r\n\r\n"])
def test_a_body_is_kept_up_to_the_limit(head: bytes) -> None:
    asked = upgrade(max_body=100)
    assert rejected(asked, b"HTTP/1.1 403 Forbidden\r\n" + head, b"x" * 60, b"x" * 60).body == b"x" * 100


def test_no_body_is_kept_where_none_is_wanted() -> None:
    assert rejected(upgrade(max_body=0), b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nabc").body == b""


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 9\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n"]
)
def test_a_body_that_breaks_off_is_kept_so_far(rest: bytes) -> None:
    assert rejected(upgrade(), b"HTTP/1.1 500 Oops\r\n" + rest, b"").body == b"ab"


def test_a_body_in_pieces_of_nothing_is_cut() -> None:
    """Chunks of one byte: the server pays six bytes for each, and reading them would keep all others waiting."""
    head = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert rejected(upgrade(max_body=10_000), head + b"1\r\na\r\n" * 5000).body == b"a" * 1024


def test_giving_up_tells_a_rejection_whose_body_never_ends() -> None:
    asked = upgrade()
    asked.give_up()
    asked.receive(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nab")
    with pytest.raises(HandshakeRejected) as caught:
        asked.give_up()
    assert (caught.value.status, caught.value.body) == (503, b"ab")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 404 Not Found\r\nX: " + b"x" * 1000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50 + b"HTTP/1.1 404 Not Found\r\n\r\n",
    ],
)
@pytest.mark.parametrize("most", [1, 700, 10_000])
def test_the_head_of_a_refusal_is_bounded_however_it_comes(head: bytes, most: int) -> None:
    asked = upgrade(max_head=1000)
    raw = head + b"the body"
    with pytest.raises(HandshakeFailed, match=r"too large|too long") as caught:
        feed(asked, *[raw[at : at + most] for at in range(0, len(raw), most)])
    assert type(caught.value) is HandshakeFailed


@pytest.mark.parametrize(
    "begun", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail.example ESMTP", b"\r\n", b"+OK", b"h", b"HTTQ"]
)
def test_an_answer_that_does_not_begin_as_http_is_refused_before_its_head_is_whole(begun: bytes) -> None:
    with pytest.raises(HandshakeFailed, match=r"^the answer is not HTTP: it begins with '"):
        upgrade().receive(begun)


@pytest.mark.parametrize("whole", [b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 4"])
def test_an_answer_in_single_bytes_is_waited_for(whole: bytes) -> None:
    asked = upgrade()
    for byte in whole:
        assert asked.receive(bytes([byte])) is None
