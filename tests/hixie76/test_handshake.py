"""The opening handshakes of the old versions: let in only where they are asked for."""

from __future__ import annotations

import pytest

from tests.hixie76.test_handshake_challenge import EXAMPLES
from tests.http.heads import GOOD, head_of, read
from wsframe.hixie76 import handshake as hixie_handshake
from wsframe.http import handshake
from wsframe.http.origins import any_origin, origin_exact, origin_prefix, same_origin
from wsframe.http.request import Request
from wsframe.http.responses import Reject

ALL = frozenset({13, 8, 7, 0})
ORIGIN, EVIL = "http://example.com", "http://evil.example"
KEY1, KEY2, NONCE, ANSWER = EXAMPLES[0]
HIXIE: dict[str, str | None] = {
    "Sec-WebSocket-Version": None, "Sec-WebSocket-Key": None, "Upgrade": "WebSocket",
    "Sec-WebSocket-Key1": KEY1, "Sec-WebSocket-Key2": KEY2, "Origin": ORIGIN,
}  # fmt: skip


def old(version: int) -> dict[str, str | None]:
    """The fields of a version that differ from a good handshake of version 13."""
    return HIXIE if version == 0 else {"Sec-WebSocket-Version": str(version)}


def check(fields: dict[str, str | None], versions: frozenset[int], *, more: list[str] | None = None) -> int:
    request, reader = read(head_of(fields, more=more))
    if not handshake.wants_upgrade(request.headers):
        raise handshake.plain_refused(request, versions)
    version = handshake.check_upgrade(reader.http_version, request, request.headers, versions)
    if not version:
        hixie_handshake.check_keys(request.headers)
    return version


def refused(fields: dict[str, str | None], versions: frozenset[int], *, more: list[str] | None = None) -> Reject:
    with pytest.raises(Reject) as caught:
        check(fields, versions, more=more)
    return caught.value


def request_of(fields: dict[str, str | None]) -> Request:
    return read(head_of(fields))[0]


@pytest.mark.parametrize("version", [13, 8, 7, 0])
def test_a_version_is_let_in_where_it_is_enabled(version: int) -> None:
    assert check(old(version), frozenset({13, version})) == version
    assert request_of(old(version)).version == version


@pytest.mark.parametrize("version", [8, 7, 0])
def test_and_refused_where_it_is_not(version: int) -> None:
    reject = refused(old(version), ALL - {version})
    assert reject.status == 426
    assert refused(old(version), frozenset({13})).body == "this server speaks WebSocket version 13"


@pytest.mark.parametrize("named", ["", "0", "9", "12", "14", "013", "8, 7", "x", "\xb2"])
@pytest.mark.parametrize("fields", [{}, HIXIE])
def test_other_versions_are_refused_whatever_is_enabled(named: str, fields: dict[str, str | None]) -> None:
    """Version 0 is told by its keys, and not by a number."""
    assert refused({**fields, "Sec-WebSocket-Version": named}, ALL).status == 426
    assert request_of({**fields, "Sec-WebSocket-Version": named}).version is None


def test_two_versions_in_one_request_are_refused() -> None:
    assert refused({}, ALL, more=["Sec-WebSocket-Version: 8"]).status == 426


@pytest.mark.parametrize(
    ("versions", "named"),
    [(ALL, "13, 8, 7"), (ALL - {8}, "13, 7"), (frozenset({13, 0}), "13"), (frozenset({13}), "13")],
)
@pytest.mark.parametrize("fields", [{"Sec-WebSocket-Version": "5"}, {"Upgrade": None}])
def test_the_refusal_lists_the_versions_a_request_can_name(
    versions: frozenset[int], named: str, fields: dict[str, str | None]
) -> None:
    reject = refused(fields, versions)
    assert reject.status == 426
    assert reject.headers == [("Upgrade", "websocket"), ("Sec-WebSocket-Version", named)]


@pytest.mark.parametrize("version", [8, 7])
def test_drafts_7_and_8_need_the_key_of_rfc_6455(version: int) -> None:
    assert refused({**old(version), "Sec-WebSocket-Key": "short"}, ALL).status == 400


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Sec-WebSocket-Key1": "12345"}, "Key1"),
        ({"Sec-WebSocket-Key2": "1 2 3 4 5"}, "Key2"),
        ({"Origin": None}, "Origin"),
        ({"Connection": "close"}, "Connection"),
        ({"Content-Length": "8"}, "body"),
    ],
)
def test_a_handshake_of_hixie_76_is_checked_as_well(fields: dict[str, str | None], reason: str) -> None:
    reject = refused({**HIXIE, **fields}, ALL)
    assert (reject.status, reason in reject.body) == (400, True)


def test_one_key_alone_is_no_handshake_of_hixie_76() -> None:
    assert refused({**HIXIE, "Sec-WebSocket-Key2": None}, ALL).status == 426


@pytest.mark.parametrize("version", [8, 7])
def test_drafts_7_and_8_have_their_origin_in_a_field_of_another_name(version: int) -> None:
    both = {**old(version), "Sec-WebSocket-Origin": EVIL, "Origin": ORIGIN}
    assert request_of(both).origin == EVIL
    assert request_of({**both, "Origin": None}).origin == EVIL


@pytest.mark.parametrize("version", [8, 7])
@pytest.mark.parametrize("validator", [same_origin, origin_exact(ORIGIN), origin_prefix(ORIGIN)])
def test_what_the_last_drafts_of_8_call_origin_counts_where_the_other_is_left_out(
    version: int, validator: object
) -> None:
    assert callable(validator)
    assert request_of({**old(version), "Origin": EVIL}).origin == EVIL
    assert validator(request_of({**old(version), "Origin": EVIL})) is False
    assert validator(request_of({**old(version), "Origin": ORIGIN})) is True
    assert validator(request_of({**old(version), "Sec-WebSocket-Origin": ORIGIN})) is True
    assert validator(request_of({**old(version), "Sec-WebSocket-Origin": EVIL, "Origin": ORIGIN})) is False


@pytest.mark.parametrize("version", [13, 8, 7])
def test_a_missing_origin_is_missing(version: int) -> None:
    request = request_of(old(version))
    assert request.origin is None
    assert (origin_exact(ORIGIN)(request), any_origin(request)) == (False, True)


@pytest.mark.parametrize("version", [13, 0])
def test_the_old_field_fools_nobody_in_another_version(version: int) -> None:
    request = request_of({**old(version), "Sec-WebSocket-Origin": ORIGIN, "Origin": EVIL})
    assert request.origin == EVIL
    assert request_of({**GOOD, "Sec-WebSocket-Origin": ORIGIN}).origin is None


def test_the_answer_of_hixie_76() -> None:
    """The example of section 1.2, its fields in another order."""
    request = request_of({**HIXIE, "Host": "example.com:81"})
    answer = hixie_handshake.switching_protocols(request, request.headers, NONCE, "sample", [("Set-Cookie", "a=b")])
    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: WebSocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Origin: http://example.com\r\n"
        b"Sec-WebSocket-Location: ws://example.com:81/chat\r\n"
        b"Sec-WebSocket-Protocol: sample\r\n"
        b"Set-Cookie: a=b\r\n\r\n" + ANSWER
    )


def test_its_location_is_the_url_that_was_asked_for() -> None:
    fields = [(name.encode(), value.encode()) for name, value in {**GOOD, **HIXIE}.items() if value]
    request = Request("/a/b?c=d&e", fields, secure=True)
    answer = hixie_handshake.switching_protocols(request, request.headers, NONCE, None, [])
    assert b"\r\nSec-WebSocket-Location: wss://example.com/a/b?c=d&e\r\n" in answer
    assert b"Sec-WebSocket-Protocol" not in answer


def test_what_would_break_out_of_its_line_is_not_sent() -> None:
    request = request_of(HIXIE)
    with pytest.raises(ValueError, match="must not be sent"):
        hixie_handshake.switching_protocols(request, request.headers, NONCE, None, [("X", "a\r\nb")])
