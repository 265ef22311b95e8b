"""The client's half of the opening handshake (RFC 6455 section 4.1): the request, and the check of its answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha1
from os import urandom
from typing import NamedTuple

import h11

from wsframe.exceptions import WsframeError
from wsframe.http.deflate_terms import agreed, offer
from wsframe.http.handshake import GUID
from wsframe.http.other_protocols import beginning, cause_at_client, may_be_http
from wsframe.http.request import Headers
from wsframe.http.responses import HeaderFields, header_list
from wsframe.log import escaped, quoted, shortened
from wsframe.protocol.deflate import Deflate, Terms

__all__ = ["HandshakeFailed", "HandshakeRejected", "Upgrade", "Upgraded"]

# Fields that the handshake is made of, or that would give the request a body.
OWN_FIELDS = frozenset({"connection", "upgrade", "content-length", "transfer-encoding"})


# A body comes in as many pieces at most: in chunks of one byte each takes the time of many. The status says enough.
# Bytes of an answer by which another protocol is told.
LONGEST_BEGUN = 16
MOST_PIECES = 1024


class HandshakeFailed(WsframeError):
    """Raised by :func:`connect` when the answer of the server breaks the rules of the handshake."""


class HandshakeRejected(HandshakeFailed):
    """Raised by :func:`connect` when the server answered with another status than 101.

    Args:
        status: The HTTP status.
        headers: The header fields of the answer.
        body: Its body, as much as ``Opening.max_body`` allows. Its beginning is in the text of
            the exception, with unprintable characters replaced: usually the server's reason.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        words = " ".join(body[:400].decode(errors="replace").split())
        reason = shortened("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words))
        super().__init__(f"the server answered {status}{f': {reason}' if reason else ''}")
        self.status = status
        self.headers = headers
        self.body = body


class Upgraded(NamedTuple):
    """A connection that has been upgraded, as the 101 said."""

    headers: Headers
    subprotocol: str | None
    terms: Terms | None
    trailing: bytes
    """The bytes after the 101: the first frames."""


class Upgrade:
    """One request for a WebSocket, and the answer to it.

    Args:
        resource: Path and query.
        host: The value of Host.
        headers: More fields; Host and User-Agent replace ours.
        subprotocols: Offered in order of preference.
        deflate: The compression to offer; None offers nothing.
        max_head: Bytes of the answer's head at most, heads of interim answers before it included.
        max_body: Bytes to keep of a refusal's body.

    Raises:
        ValueError: For a field that must not be sent or is part of the handshake, or for a
            subprotocol that is not a token or comes twice.
    """

    def __init__(
        self,
        resource: str,
        host: str,
        *,
        headers: HeaderFields = (),
        subprotocols: Iterable[str] = (),
        deflate: Deflate | None = None,
        max_head: int,
        max_body: int,
    ) -> None:
        self._deflate = deflate
        self._subprotocols = list(subprotocols)
        self._max_head = max_head
        self._max_body = max_body
        self._key = b64encode(urandom(16))
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_head)
        self._received = 0
        self._begun = b""
        self._refusal: h11.Response | None = None
        self._body = bytearray()
        self._pieces = 0
        fields = request_fields(host, headers, self._subprotocols, deflate)
        fields.insert(1, ("Sec-WebSocket-Key", self._key.decode()))
        self.headers: Headers = Headers([(name.lower(), value) for name, value in fields])
        """The fields of the request."""
        pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields]
        try:
            data = self._h11.send(h11.Request(method="GET", target=resource, headers=pairs))
            data += self._h11.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise ValueError(f"the request cannot be sent: {error}") from None
        self.request = data
        """The bytes to send."""

    def receive(self, data: bytes) -> Upgraded | None:
        """Take bytes of the answer; empty for EOF. Returns None while it is not whole.

        Raises:
            HandshakeRejected: If the server gave another answer, with at most ``max_body`` of its body.
            HandshakeFailed: If the 101 is not an answer to this request, or the answer is not HTTP.
            ConnectionResetError: If the connection ended before the answer.
        """
        self._received += len(data)
        if len(self._begun) < LONGEST_BEGUN:
            self._begun += data[:LONGEST_BEGUN]
        if not data and self._refusal is not None:
            raise self.rejection(self._refusal)
        if not may_be_http(self._begun):  # h11 would wait for the end of a head, as of SSH
            raise HandshakeFailed(cause_at_client(self._begun) or f"the answer is not HTTP: {beginning(self._begun)}")
        try:
            self._h11.receive_data(data)
            while (event := self._h11.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.InformationalResponse | h11.Response):
                    self._check_size(len(self._h11.trailing_data[0]))
                if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                    if event.http_version != b"1.1":
                        raise HandshakeFailed(f"the 101 is in HTTP/{event.http_version.decode()}, not HTTP/1.1")
                    return self._check(Headers(decoded(event)))
                self._note(event)
        except h11.RemoteProtocolError as error:
            if self._refusal is not None:  # its body is broken off or malformed; the status says enough
                raise self.rejection(self._refusal) from None
            if not data:
                raise ConnectionResetError("the server ended the connection before it answered") from None
            cause = cause_at_client(self._begun) or f"the answer is not HTTP: {escaped(str(error))}"
            raise HandshakeFailed(cause) from None
        if self._refusal is None:
            self._check_size(0)
        return None

    def _check_size(self, behind: int) -> None:
        """Refuse heads that are too large; ``behind`` bytes of those received come after them."""
        if self._received - behind > self._max_head:
            raise HandshakeFailed("the head of the answer is too large")

    def _note(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._refusal = event
        elif self._refusal is None:
            return  # another interim answer, such as 103
        elif isinstance(event, h11.Data):
            self._body += event.data
            self._pieces += 1
        if (
            isinstance(event, h11.EndOfMessage | h11.PAUSED)
            or len(self._body) >= self._max_body
            or self._pieces >= MOST_PIECES
        ):
            raise self.rejection(self._refusal)

    def give_up(self) -> None:
        """Raise HandshakeRejected if the head of a refusal has come, whose body takes too long."""
        if self._refusal is not None:
            raise self.rejection(self._refusal)

    def rejection(self, refusal: h11.Response) -> HandshakeRejected:
        body = bytes(self._body[: self._max_body])
        return HandshakeRejected(refusal.status_code, Headers(decoded(refusal)), body)

    def _check(self, headers: Headers) -> Upgraded:
        """Check the 101 (RFC 6455 section 4.1, the client's requirements)."""
        if [value.lower() for value in headers.getall("upgrade")] != ["websocket"]:
            raise HandshakeFailed("the 101 lacks Upgrade: websocket, or has more in it")
        if "upgrade" not in map(str.lower, headers.tokens("connection")):
            raise HandshakeFailed("the 101 lacks Connection: Upgrade")
        accept = b64encode(sha1(self._key + GUID, usedforsecurity=False).digest()).decode()
        if headers.getall("sec-websocket-accept") != [accept]:
            raise HandshakeFailed("the 101 has a wrong Sec-WebSocket-Accept")
        try:
            terms = agreed(headers.getall("sec-websocket-extensions"), self._deflate)
        except ValueError as error:
            raise HandshakeFailed(f"the 101 has wrong extensions: {error}") from None
        chosen = headers.getall("sec-websocket-protocol")
        if len(chosen) > 1 or (chosen and chosen[0] not in self._subprotocols):
            raise HandshakeFailed(f"the subprotocol {quoted(', '.join(chosen))} was not offered")
        return Upgraded(headers, chosen[0] if chosen else None, terms, self._h11.trailing_data[0])


def decoded(answer: h11.InformationalResponse | h11.Response) -> list[tuple[str, str]]:
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in answer.headers]


def request_fields(
    host: str, headers: HeaderFields, subprotocols: list[str], deflate: Deflate | None
) -> list[tuple[str, str]]:
    given = header_list(headers)
    for name, _ in given:
        if name.lower() in OWN_FIELDS or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"{name} cannot be given: the handshake sets it")
    names = {name.lower() for name, _ in given}
    fields = [] if "host" in names else [("Host", host)]
    fields += [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    if subprotocols:
        check_subprotocols(subprotocols)
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if deflate is not None:
        fields.append(("Sec-WebSocket-Extensions", offer(deflate)))
    if "user-agent" not in names:
        fields.append(("User-Agent", "wsframe"))
    return fields + given


def check_subprotocols(subprotocols: list[str]) -> None:
    for name in subprotocols:
        header_list([(name, "")])  # a token, as a field's name is
    if len(set(subprotocols)) < len(subprotocols):
        raise ValueError(f"a subprotocol is offered twice: {subprotocols!r}")
