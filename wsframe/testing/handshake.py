"""The client's opening handshake, and the HTTP answers to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import h11

from wsframe.http.request import Headers

__all__ = ["Answer", "Exchange", "HeaderFields", "Refused", "check_101", "upgrade_fields"]

HeaderFields = Mapping[str, str] | Iterable[tuple[str, str]]

# From the example in RFC 6455 section 1.3; a server cannot see that they are not random.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Refused(Exception):
    """Raised when the server answers a handshake with another status than 101."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status}: {answer.text.strip()}")
        self.status: int = answer.status
        """The HTTP status."""
        self.headers: Headers = answer.headers
        """The header fields of the answer."""
        self.body: str = answer.text
        """The body: the reason, as the server wrote it."""


def upgrade_fields(
    fields: HeaderFields, *, origin: str | None, subprotocols: Iterable[str], extensions: str | None
) -> list[tuple[str, str]]:
    """Return the header fields of an opening handshake; each of ``fields`` replaces a default of the same name."""
    names = ", ".join(subprotocols)
    own = [
        ("Host", "localhost"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13"), ("Origin", origin),
        ("Sec-WebSocket-Protocol", names or None), ("Sec-WebSocket-Extensions", extensions),
    ]  # fmt: skip
    return replaced(own, fields)


def replaced(own: list[tuple[str, str | None]], fields: HeaderFields) -> list[tuple[str, str]]:
    given = list(fields.items() if isinstance(fields, Mapping) else fields)
    names = {name.lower() for name, _ in given}
    return [(name, value) for name, value in own if value is not None and name.lower() not in names] + given


class Exchange:
    """One HTTP request and its answer, without I/O.

    Args:
        path: The request target.
        fields: The header fields.
        method: The method.
        body: The content; its length is a field of its own.
    """

    def __init__(self, path: str, fields: list[tuple[str, str]], method: str = "GET", body: bytes = b"") -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        if body:
            fields = [*fields, ("Content-Length", str(len(body)))]
        request = h11.Request(method=method, target=path, headers=fields)
        events = [request, *([h11.Data(body)] if body else []), h11.EndOfMessage()]
        self.data: bytes = b"".join(self._h11.send(event) or b"" for event in events)
        """The bytes to send."""
        self._head: h11.Response | None = None
        self._body = b""

    def receive(self, data: bytes) -> Answer | None:
        """Take bytes and return the answer once it is complete."""
        self._h11.receive_data(data)
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.InformationalResponse):
                return answer(event, b"")
            if isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                return answer(self._head, self._body)
            else:
                return None


def answer(head: h11.Response | h11.InformationalResponse, body: bytes) -> Answer:
    fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
    return Answer(head.status_code, Headers(fields), body)


def check_101(answer: Answer) -> None:
    """Check a 101 as a client must before it uses the connection (RFC 6455 section 4.1).

    Raises:
        Refused: For a status other than 101.
    """
    if answer.status != 101:
        raise Refused(answer)
    assert answer.headers.get("upgrade") == "websocket", answer.headers.fields()
    assert answer.headers.get("connection") == "Upgrade", answer.headers.fields()
    assert answer.headers.get("sec-websocket-accept") == ACCEPT, answer.headers.fields()
