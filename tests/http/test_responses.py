"""Answers to a newcomer: checked where they are made."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest

from wsframe import Accept, Resource
from wsframe.http.handshake import refusal, response
from wsframe.http.responses import HeaderFields, Reject, Response


def test_reject_is_403_and_can_be_raised() -> None:
    with pytest.raises(Reject) as info:
        raise Reject
    assert (info.value.status, info.value.headers, info.value.body) == (403, [], "")
    assert str(Reject(429, body="later")) == "(429, 'later')"


def test_response_is_200_text() -> None:
    answer = Response()
    assert (answer.body, answer.status, answer.content_type) == (b"", 200, "text/plain; charset=utf-8")
    assert answer.headers == []


@pytest.mark.parametrize("body", ["grüß", "grüß".encode(), bytearray("grüß".encode()), memoryview("grüß".encode())])
def test_a_body_is_text_in_utf_8_or_bytes(body: str | bytes) -> None:
    data = Response(body).body
    assert type(data) is bytes
    assert data.decode() == "grüß"


@pytest.mark.parametrize("body", [404, None, ["x"]])
def test_a_body_of_another_type_is_a_type_error(body: object) -> None:
    """A status in the place of the body must not become so many zero bytes with status 200."""
    with pytest.raises(TypeError):
        Response(body)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [299, 600, 0, -403, 200, 101])
def test_a_refusal_has_a_status_that_refuses(status: int) -> None:
    with pytest.raises(ValueError, match=f"from 300 to 599, not {status}"):
        Reject(status)


@pytest.mark.parametrize("status", [300, 599])
def test_every_status_that_refuses_passes(status: int) -> None:
    assert Reject(status).status == status


@pytest.mark.parametrize("status", [199, 600, 101])
def test_a_response_has_a_status_that_ends_a_request(status: int) -> None:
    with pytest.raises(ValueError, match=f"from 200 to 599, not {status}"):
        Response(status=status)


@pytest.mark.parametrize("status", [200, 599])
def test_every_status_that_ends_a_request_passes(status: int) -> None:
    assert Response(status=status).status == status


MAKERS = [
    pytest.param(lambda headers: Accept(headers=headers), id="Accept"),
    pytest.param(lambda headers: Reject(headers=headers), id="Reject"),
    pytest.param(lambda headers: Response(headers=headers), id="Response"),
]
Maker = Callable[[HeaderFields], Accept | Reject | Response]


@pytest.mark.parametrize("make", MAKERS)
def test_headers_are_a_mapping_or_pairs_which_may_repeat_a_name(make: Maker) -> None:
    assert make({"A": "1", "B": ""}).headers == [("A", "1"), ("B", "")]
    assert make([("A", "1"), ("A", "2")]).headers == [("A", "1"), ("A", "2")]
    assert make(iter([("A", "1")])).headers == [("A", "1")]


def test_headers_are_a_list_of_their_own() -> None:
    given = [("A", "1")]
    Accept(headers=given).headers.append(("B", "2"))
    assert given == [("A", "1")]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nX: y", "a\0", "日本", "\ud800"])
def test_a_value_that_cannot_be_sent_is_refused_where_it_is_made(make: Maker, value: str) -> None:
    with pytest.raises(ValueError, match=r"header field 'Location': .* must not be sent"):
        make({"Location": value})


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\n", "é", "\0"])
def test_a_name_that_cannot_be_sent_is_refused_where_it_is_made(make: Maker, name: str) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        make({name: "value"})


@pytest.mark.parametrize("value", ["", "é", "\tx y\xad", "a" * 10_000])
def test_a_value_in_latin_1_can_be_sent(value: str) -> None:
    assert Accept(headers={"X-Any.Name_1": value}).headers == [("X-Any.Name_1", value)]


def test_statuses_of_the_standard_library_are_statuses() -> None:
    assert type(Reject(HTTPStatus.UNAUTHORIZED).status) is int
    assert Response(status=HTTPStatus.CREATED).status == 201


class Text(str):
    """A str of its own, as some libraries hand out."""

    def __len__(self) -> int:
        return 3

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"no"

    def isprintable(self) -> bool:
        raise ZeroDivisionError


class Bytes(bytes):
    def __len__(self) -> int:
        return 1


def test_a_subclass_does_not_decide_what_is_sent() -> None:
    assert Response(Text("whole")).body == b"whole"
    assert Response(Bytes(b"whole")).body == b"whole"
    reject = Reject(body=Text("whole"), headers=[(Text("X-A"), Text("value"))])
    assert type(reject.body) is str
    assert [(type(name), type(value)) for name, value in reject.headers] == [(str, str)]
    assert b"Content-Length: 6\r\n" in refusal(reject, now=0)


WRONG: list[tuple[Callable[..., object], dict[str, object], str]] = [
    (Reject, {"body": b"no"}, "body"),
    (Reject, {"body": None}, "body"),
    (Reject, {"body": 5}, "body"),
    (Reject, {"status": 401.0}, "status"),
    (Reject, {"status": "401"}, "status"),
    (Reject, {"status": True}, "status"),
    (Reject, {"status": None}, "status"),
    (Reject, {"headers": 5}, "headers"),
    (Reject, {"headers": "X-A: b"}, "headers"),
    (Reject, {"headers": ["X-A: b"]}, "headers"),
    (Reject, {"headers": [("X-A", 5)]}, "X-A"),
    (Reject, {"headers": {"X-A": b"b"}}, "X-A"),
    (Reject, {"headers": None}, "headers"),
    (Response, {"body": 404}, "body"),
    (Response, {"body": {"a": 1}}, "body"),
    (Response, {"status": 200.0}, "status"),
    (Response, {"content_type": None}, "content_type"),
    (Response, {"content_type": b"text/html"}, "content_type"),
    (Response, {"headers": [("X-A", None)]}, "X-A"),
    (Response, {"headers": [("X-A", "b", "c")]}, "headers"),
    (Accept, {"subprotocol": b"chat"}, "subprotocol"),
    (Accept, {"subprotocol": ["chat"]}, "subprotocol"),
    (Accept, {"headers": 5}, "headers"),
    (Accept, {"deliver_to": "/chat"}, "deliver_to"),
    (Accept, {"deliver_to": Resource}, "deliver_to"),
]


@pytest.mark.parametrize(("make", "fields", "named"), WRONG)
def test_a_field_of_another_type_is_named_where_it_is_made(
    make: Callable[..., object], fields: dict[str, object], named: str
) -> None:
    with pytest.raises(TypeError, match=named):
        make(**fields)


@pytest.mark.parametrize("make", [Reject, Response])
@pytest.mark.parametrize("name", ["Transfer-Encoding", "content-length", "Connection", "TE", "Trailer", "Keep-Alive"])
def test_what_frames_an_answer_is_not_the_users_to_set(make: Callable[..., object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make(headers={name: "chunked"})


@pytest.mark.parametrize(
    "name",
    [
        "Sec-WebSocket-Accept", "sec-websocket-protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Location",
        "Upgrade", "Connection", "Content-Length", "Transfer-Encoding",
    ],
)  # fmt: skip
def test_the_fields_of_the_handshake_are_not_the_users_to_set(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Accept(headers=[(name, "x")])


@pytest.mark.parametrize("make", [Reject, Response])
def test_a_body_with_a_lone_surrogate_is_refused(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="body"):
        make(body="\ud800")


@pytest.mark.parametrize("value", ["a\x00b", "a\x1bb", "a\x7fb", "a\x0bb"])
def test_control_characters_are_refused_in_a_field(value: str) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        Reject(headers={"X-A": value})


def test_a_content_type_among_the_headers_replaces_ours() -> None:
    answer = refusal(Reject(401, {"content-type": "application/json"}, "{}"), now=0)
    assert answer.lower().count(b"content-type:") == 1
    assert b"application/json" in answer


def test_what_was_changed_later_is_checked_when_it_is_sent() -> None:
    changed = Reject(401)
    changed.body = b"no"  # type: ignore[assignment]
    with pytest.raises(TypeError):
        refusal(changed, now=0)
    changed = Reject(401)
    changed.headers.append(("Content-Length", "5"))
    with pytest.raises(ValueError, match="Content-Length"):
        refusal(changed, now=0)
    answer = Response()
    answer.headers.append(("Transfer-Encoding", "chunked"))
    with pytest.raises(ValueError, match="Transfer-Encoding"):
        response(answer, now=0)
