"""A client's opening handshake and the answers it may get, without I/O."""

import pytest

from tests.wire import KEY
from wsframe.testing.handshake import Exchange, Refused, check_101, replaced, upgrade_fields

ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def exchange() -> Exchange:
    return Exchange("/chat?x=1", upgrade_fields((), origin=None, subprotocols=(), extensions=None))


def test_request_is_what_a_client_sends() -> None:
    fields = upgrade_fields(
        {"host": "chat.example", "Cookie": "a=b"}, origin="http://a", subprotocols=["x", "y"], extensions="z"
    )
    lines = Exchange("/chat?x=1", fields).data.decode().split("\r\n")
    assert lines[0] == "GET /chat?x=1 HTTP/1.1"
    assert sorted(lines[1:-2], key=str.lower) == [
        "Connection: Upgrade", "Cookie: a=b", "host: chat.example", "Origin: http://a",
        "Sec-WebSocket-Extensions: z", f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Protocol: x, y", "Sec-WebSocket-Version: 13", "Upgrade: websocket",
    ]  # fmt: skip


def test_fields_may_come_several_times() -> None:
    assert replaced([("A", "1"), ("B", None)], [("C", "2"), ("C", "3")]) == [("A", "1"), ("C", "2"), ("C", "3")]


def test_101_may_come_in_pieces() -> None:
    client = exchange()
    assert [client.receive(bytes((byte,))) for byte in ACCEPTED[:-1]] == [None] * (len(ACCEPTED) - 1)
    answer = client.receive(ACCEPTED[-1:])
    assert answer is not None
    check_101(answer)


@pytest.mark.parametrize("field", [b"websocket", b"Connection: Upgrade", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="])
def test_101_that_breaks_the_protocol_is_an_assertion(field: bytes) -> None:
    answer = exchange().receive(ACCEPTED.replace(field, b"X: y" if b":" in field else b"wrong"))
    assert answer is not None
    with pytest.raises(AssertionError):
        check_101(answer)


def test_refusal_has_status_headers_and_body() -> None:
    answer = exchange().receive(b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 5\r\n\r\nfull\n")
    assert answer is not None
    with pytest.raises(Refused, match=r"^503: full$") as raised:
        check_101(answer)
    assert (raised.value.status, raised.value.headers["Retry-After"], raised.value.body) == (503, "5", "full\n")
