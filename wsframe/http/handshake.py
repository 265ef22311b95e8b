"""The opening handshake (RFC 6455 section 4): read the head, check it, make the answer.

h11 reads the head; the checks and the 101 are ours, because nearly every refusal needs
a status and a reason of its own, and wsproto's handshake would parse the request twice.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Collection, Iterable
from functools import lru_cache
from hashlib import sha1
from http import HTTPStatus
from re import compile as pattern
from time import gmtime

import h11

from wsframe.http.authority import reduce_target, with_host
from wsframe.http.forwarded import seen_by_proxies
from wsframe.http.other_protocols import HTTP_2, cause_at_server
from wsframe.http.plain_head import read_plain_head
from wsframe.http.request import Headers, Request, has_token, version_of
from wsframe.http.responses import Reject, Response, check_field, header_list
from wsframe.log import quoted, shortened
from wsframe.net.trusted_proxies import TrustedProxies

__all__ = [
    "HeadReader",
    "after_empty_lines",
    "check_bodiless",
    "check_not_dropped",
    "check_upgrade",
    "plain_refused",
    "refusal",
    "response",
    "switching_protocols",
    "wants_upgrade",
]

# As in a Date field, in any locale; email.utils, which has them, takes longer to import than all of HTTP here.
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# The names of fields and the request line have none. A tab is space.
CONTROL = pattern(rb"[\x00-\x08\x0a-\x1f\x7f]")
# No client sends as many: browsers send 20 or so, proxies add ten. h11 takes 2 us for a line of 4 bytes.
MOST_LINES = 256
END = pattern(rb"\n\r?\n")
# RFC 9112 section 2.2: a server ignores at least one empty line before a request, which some clients send.
EMPTY_LINES = pattern(rb"(?:\r\n){0,2}")
MOST_EMPTY_LINES = b"\r\n\r\n"
SPOKEN = frozenset({b"1.0", b"1.1"})

SWITCHING = "\r\n".join(
    ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "]
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ONLY_13 = (13,)
# Messages of h11, and the lines that it misses.
NO_HOST = "Missing mandatory Host: header"
STAND_IN = b"Host:\r\n"
NO_CONTENT = frozenset({204, 304})
ALLOW_GET = [("Allow", "GET")]
DROPPED = (
    "a WebSocket handshake came without Upgrade: websocket: "
    "the proxy in front must speak HTTP/1.1 and pass Upgrade and Connection on"
)


class HeadReader:
    """Collects the request head of one newcomer.

    Args:
        max_head: Bytes of the head at most.
        host, port, secure: The connection, as the request will describe it.
        proxies: The proxies whose word about the client counts if the peer is one of them; None for none.
    """

    __slots__ = (
        *("_before", "_h11", "_hostless", "_kept", "_last", "_lines", "_max_head", "_peer", "_proxies", "_received"),
        *("http_version", "trailing"),
    )

    def __init__(
        self,
        max_head: int,
        *,
        host: str = "",
        port: int = 0,
        secure: bool = False,
        proxies: TrustedProxies | None = None,
    ) -> None:
        self._h11: h11.Connection | None = None
        self._max_head = max_head
        self._received = self._lines = 0
        self._last = self._before = b""
        self._kept: bytearray | None = None
        self._hostless = False
        self._peer = (host, port, secure)
        self._proxies = proxies if proxies is not None and proxies.trusts(host) else None
        self.http_version: bytes = b""
        self.trailing: bytes = b""
        """The bytes after the head: the first frames, if the peer did not wait for the 101."""

    @property
    def begun_with(self) -> bytes:
        """The bytes of a head that is not whole yet."""
        return self._before + (self._kept or b"")

    def receive(self, data: bytes) -> Request | None:
        """Take bytes; return the request once its head is whole.

        Raises:
            Reject: 431 for a head above the limit or of too many lines, 400 for anything but HTTP/1 or
                without a path or about which proxies contradict each other, 505 for versions other than 1.0
                and 1.1.
        """
        if not self._received and (data[:1] == b"\r" or self._before):
            data = self._without_empty_lines(data)
            if not data:
                return None
        if not self._received and data.count(b"\n") <= MOST_LINES:
            plain = read_plain_head(data)
            if plain is not None and plain[2] <= self._max_head:
                target, fields, end = plain
                self._received = len(data)
                self.http_version, self.trailing = b"1.1", data[end:]
                return self._request(target, fields, "GET")
        self._count_lines(data)
        self._received += len(data)
        return self._receive_by_h11(data)

    def _without_empty_lines(self, data: bytes) -> bytes:
        """Take bytes before which there was no request line; return them from that on."""
        begun = self._before + data
        rest = b"" if MOST_EMPTY_LINES.startswith(begun) else after_empty_lines(begun)
        self._max_head += len(self._before)
        self._before = begun[: len(begun) - len(rest)]
        self._max_head -= len(self._before)
        return rest

    def _count_lines(self, data: bytes) -> None:
        """Refuse a head of too many lines before they are read: each takes the time of many bytes."""
        lines, before = data.count(b"\n"), self._last
        self._last = data[-3:] if len(data) > 2 else (before + data)[-3:]
        if self._lines + lines > MOST_LINES:  # the bytes after the head do not count
            end = END.search(before + data)
            if end is not None:
                lines = data.count(b"\n", 0, max(0, end.end() - len(before)))
            if self._lines + lines > MOST_LINES:
                raise Reject(431, body="too many header fields")
        self._lines += lines

    def _receive_by_h11(self, data: bytes) -> Request | None:
        if self._h11 is None or self._kept is None:
            self._h11, self._kept = h11.Connection(h11.SERVER, max_incomplete_event_size=self._max_head), bytearray()
        self._kept += data
        try:
            self._h11.receive_data(data)
            event: object = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            event = self._without_host(error)
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Request):  # EOF is not passed on, so nothing else can come first
            raise Reject(400, body="malformed request")
        self.trailing = self._h11.trailing_data[0]
        if self._received - len(self.trailing) > self._max_head:
            raise Reject(431, body="request head too large")
        self.http_version = event.http_version
        if event.http_version not in SPOKEN:
            raise Reject(505, body=HTTP_2 if event.method == b"PRI" else "HTTP/1.1 is spoken here")
        fields = list(event.headers)
        if self._hostless:
            fields.remove((b"host", b""))
        if any(CONTROL.search(value) for _, value in fields):
            raise Reject(400, body="control characters in a header field")
        return self._request(event.target, fields, event.method.decode("ascii"))

    def _without_host(self, error: h11.RemoteProtocolError) -> object:
        """Read a head again that has no Host, with one to stand in: admission decides about such requests.

        Raises:
            Reject: For any other error.
        """
        if str(error) != NO_HOST or self._kept is None:
            cause = cause_at_server(self._before + bytes(self._kept or b""))
            raise Reject(error.error_status_hint, body=cause or malformed(error)) from None
        self._hostless = True
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=self._max_head + len(STAND_IN))
        start, end, rest = self._kept.partition(b"\n")
        try:
            self._h11.receive_data(bytes(start + end + STAND_IN + rest))
            return self._h11.next_event()
        except h11.RemoteProtocolError as other:
            raise Reject(other.error_status_hint, body=malformed(other)) from None

    def _request(self, target: bytes, fields: list[tuple[bytes, bytes]], method: str) -> Request:
        host, port, secure = self._peer
        if not target.startswith(b"/"):
            target, fields = reduce_target(target, fields, method)
        if self._proxies is not None:
            seen = seen_by_proxies(fields, host, port, self._proxies)
            host, port, secure = seen.host, seen.port, secure if seen.secure is None else seen.secure
            if seen.authority is not None:
                fields = with_host(seen.authority, fields)
        return Request(target.decode("ascii"), fields, method=method, host=host, port=port, secure=secure)


def after_empty_lines(begun: bytes) -> bytes:
    """Return the first bytes of a newcomer without the empty lines before its request."""
    found = EMPTY_LINES.match(begun)
    return begun if found is None else begun[found.end() :]


def malformed(error: h11.RemoteProtocolError) -> str:
    return "request head too large" if error.error_status_hint == 431 else "malformed request"


def wants_upgrade(headers: Headers) -> bool:
    """Return whether the request asks for a WebSocket at all; if not, it is plain HTTP."""
    return has_token(headers, "upgrade", "websocket")


def valid_key(headers: Headers) -> bool:
    keys = headers.by_name.get("sec-websocket-key", ())
    try:
        return len(keys) == 1 and len(a2b_base64(keys[0], strict_mode=True)) == 16
    except ValueError:
        return False


def check_not_dropped(headers: Headers, versions: Collection[int] = ONLY_13) -> None:
    """Check that a request without Upgrade is not a handshake, from which a proxy has dropped it.

    Raises:
        Reject: 426 for a request with a key of a handshake.
    """
    if "sec-websocket-key" in headers or "sec-websocket-key1" in headers:
        reject = upgrade_required(DROPPED, versions)
        reject._ours = True
        raise reject


def upgrade_required(body: str, versions: Collection[int]) -> Reject:
    """Refuse with the versions that a request can name: 0 is not one of them (RFC 6455 section 4.4)."""
    named = ", ".join(str(version) for version in sorted(versions, reverse=True) if version)
    return Reject(426, [("Upgrade", "websocket"), ("Sec-WebSocket-Version", named)], body.format(named))


def check_head(headers: Headers) -> None:
    """Check the fields that every request must have right, WebSocket or not.

    Raises:
        Reject: 400 for a Host that is not ASCII or has space in it, for an Origin with a tab in it, and for two.
    """
    values = headers.by_name
    host = values["host"][0] if "host" in values else ""
    if not host.isascii():
        raise Reject(400, body="the Host header is not ASCII")
    if " " in host or "\t" in host:
        raise Reject(400, body="the Host header is malformed")
    for name in ("origin", "sec-websocket-origin"):
        if name in values and (len(values[name]) > 1 or "\t" in values[name][0]):
            raise Reject(400, body="the Origin header is malformed")


def has_body(headers: Headers) -> bool:
    """Return whether the head announces a body: a length of zero does not, and Java clients send it."""
    values = headers.by_name
    lengths = values.get("content-length")
    return "transfer-encoding" in values or (lengths is not None and any(length.strip("0") for length in lengths))


def check_bodiless(headers: Headers) -> None:
    """Check that a plain HTTP request has no body, because the server would not read it.

    Raises:
        Reject: 413 for a request with one.
    """
    if has_body(headers):
        raise Reject(413, body="request bodies are not read here")


def plain_refused(request: Request, versions: Collection[int] = ONLY_13) -> Reject:
    """Refuse a request that does not ask for a WebSocket where there is nothing else."""
    if request.method != "GET":
        return Reject(405, ALLOW_GET, "only GET is answered here")
    return upgrade_required("no page is registered here, only WebSockets are answered", versions)


def check_upgrade(http_version: bytes, request: Request, headers: Headers, versions: Collection[int] = ONLY_13) -> int:
    """Check that a request that wants an upgrade is a WebSocket handshake of a version that is let in; return which.

    The order is that of RFC 6455 section 4.2.1.

    Raises:
        Reject: With the status and the reason of the first check that fails.
    """
    if http_version < b"1.1":
        raise Reject(400, body="a WebSocket handshake needs HTTP/1.1")
    if request.method != "GET":
        raise Reject(405, ALLOW_GET, "a WebSocket handshake is a GET")
    if has_body(headers):
        raise Reject(400, body="a WebSocket handshake has no body")
    if not has_token(headers, "connection", "upgrade"):
        raise Reject(400, body="the Connection header lacks Upgrade: a proxy in front must pass it on")
    version = version_of(headers)
    if version is None or version not in versions:
        raise upgrade_required("this server speaks WebSocket version {}", versions)
    if version and not valid_key(headers):  # version 0 has other keys
        raise Reject(400, body="Sec-WebSocket-Key is not one key of 16 bytes")
    return version


def choose_subprotocol(chosen: str | None, offered: list[str], supported: Iterable[str]) -> str | None:
    """Choose the subprotocol: the one that the resource has chosen, else the peer's first that is supported.

    Raises:
        ValueError: For a chosen subprotocol that was not offered (RFC 6455 section 4.2.2).
    """
    if chosen is not None:
        if chosen not in offered:
            raise ValueError(f"subprotocol {quoted(chosen)} was not offered; offered were {shortened(repr(offered))}")
        return chosen
    if not offered:
        return None
    names = set(supported)
    return next((name for name in offered if name in names), None)


def switching_protocols(headers: Headers, subprotocol: str | None, extra: Iterable[tuple[str, str]]) -> bytes:
    """Make the 101.

    Raises:
        ValueError: For a header name or value that would break out of its line.
    """
    key = headers.by_name["sec-websocket-key"][0].encode("ascii")
    accept = b2a_base64(sha1(key + GUID, usedforsecurity=False).digest(), newline=False).decode("ascii")
    fields = list(extra)
    if subprotocol is not None:
        fields.insert(0, ("Sec-WebSocket-Protocol", subprotocol))
    return written(SWITCHING + accept, fields)


@lru_cache(maxsize=1)
def date_of(second: int) -> str:
    """Return a second since 1970 as a Date field has it; made once for all answers of that second."""
    year, month, day, hour, minute, at, weekday, *_ = gmtime(second)
    return f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{at:02} GMT"


def response(answer: Response, *, now: float, body: bool = True) -> bytes:
    """Make a whole HTTP response, after which the connection is closed.

    Args:
        answer: The response; a Date of its own is kept.
        now: Seconds since 1970, for the Date (RFC 9110 section 6.6.1).
        body: False answers HEAD.
    """
    return response_head(answer, now=now) + (answer.body if body and answer.status not in NO_CONTENT else b"")


def response_head(answer: Response, *, now: float) -> bytes:
    """Make the head of an HTTP response; arguments as for :func:`response`. The content follows it."""
    headers = header_list(answer.headers, "Response")  # again: they may have been changed
    given = {name.lower() for name, _ in headers}
    fields = [] if "date" in given else [("Date", date_of(int(now)))]
    if answer.status not in NO_CONTENT:  # its fields would describe a body that is not allowed (RFC 9110 section 8.6)
        if "content-type" not in given:
            fields.append(("Content-Type", answer.content_type))
        fields.append(("Content-Length", str(answer.length)))
    fields += [("Connection", "close"), *headers]
    return head(answer.status, fields)


def refusal(reject: Reject, *, now: float, body: bool = True) -> bytes:
    """Make the HTTP response of a refusal, its body one line of text; arguments as for :func:`response`."""
    text = reject.body and reject.body + "\n"  # no f-string: a value put there later can be anything
    return response(Response(text, reject.status, headers=reject.headers), now=now, body=body)


def head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return written(f"HTTP/1.1 {status} {phrase}", fields)


def written(begin: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a head that begins with one or more lines of ours, and check the fields that follow."""
    lines = [begin]
    for name, value in fields:
        check_field(name, value)
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
