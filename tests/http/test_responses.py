"""Answers to a newcomer: checked where they are made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsframe.http.responses import Accept, HeaderFields, Reject, Response


def test_accept_lets_in_with_nothing_more() -> None:
    accept = Accept()
    assert (accept.subprotocol, accept.headers, accept.data) == (None, [], None)


def test_accept_carries_what_the_101_and_the_client_get() -> None:
    accept = Accept("chat", {"Set-Cookie": "a=b"}, data=7)
    assert (accept.subprotocol, accept.headers, accept.data) == ("chat", [("Set-Cookie", "a=b")], 7)


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
def test_a_body_is_text_in_utf_8_or_octets(body: str | bytes) -> None:
    octets = Response(body).body
    assert type(octets) is bytes
    assert octets.decode() == "grüß"


@pytest.mark.parametrize("body", [404, None, ["x"]])
def test_a_body_of_another_type_is_a_type_error(body: object) -> None:
    """A status in the place of the body must not become so many zero octets with status 200."""
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
    with pytest.raises(ValueError, match=r"header field 'Location': .* may not be sent"):
        make({"Location": value})


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\n", "é", "\0"])
def test_a_name_that_cannot_be_sent_is_refused_where_it_is_made(make: Maker, name: str) -> None:
    with pytest.raises(ValueError, match="may not be sent"):
        make({name: "value"})


@pytest.mark.parametrize("value", ["", "é", "\tx y\x7f", "a" * 10_000])
def test_a_value_in_latin_1_can_be_sent(value: str) -> None:
    assert Accept(headers={"X-Any.Name_1": value}).headers == [("X-Any.Name_1", value)]
