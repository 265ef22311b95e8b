"""The request that opened a connection, as the hooks see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, final, overload
from urllib.parse import parse_qs

from wsframe.log import quoted, shortened
from wsframe.net.proxy_protocol import ProxyHeader

__all__ = ["VERSIONS", "Headers", "Request", "has_token", "version_of"]

DefaultT = TypeVar("DefaultT")

# One pair of bytes that h11 lets into neither a name nor a value separates the
# stored fields, so that 10 000 idle clients hold one small object each, not lists.
SEPARATOR = b"\r\n"
# All that is space in a field (RFC 9110 section 5.6.3). str.strip() takes off more, which proxies keep.
SPACE = " \t"


@final
class Headers(Mapping[str, str]):
    """The header fields of a request: a case-insensitive multi-dict that keeps all of them.

    ``headers["Cookie"]`` is the first value of that name, :meth:`getall` gives every
    one. Iterating yields each name once, in lower case. Values are decoded as
    Latin-1, as HTTP/1.1 has them. Source: RFC 9110 section 5.
    """

    __slots__ = ("_fields", "by_name")

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields
        values: dict[str, list[str]] = {}
        for name, value in fields:
            values.setdefault(name, []).append(value)
        self.by_name: Mapping[str, Sequence[str]] = values
        """All values of each name, for code that knows the name in lower case and asks often: nothing is copied."""

    def __getitem__(self, name: str) -> str:
        values = self.by_name.get(name.lower())
        if values is None:
            raise KeyError(name)
        return values[0]

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: DefaultT) -> str | DefaultT: ...
    def get(self, name: str, default: DefaultT | None = None) -> str | DefaultT | None:
        """Return the first value of ``name``, or the default without any."""
        values = self.by_name.get(name.lower())  # Mapping's would raise and catch a KeyError
        return default if values is None else values[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self.by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def getall(self, name: str) -> list[str]:
        """Return every value of ``name`` in the order received; an empty list without any."""
        return list(self.by_name.get(name.lower(), ()))

    def fields(self) -> list[tuple[str, str]]:
        """Return all fields in the order received, names in lower case."""
        return list(self._fields)

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated tokens of every field called ``name`` (RFC 9110 section 5.6.1)."""
        values = self.by_name.get(name.lower())
        if values is None:
            return []
        return [token for value in values for part in value.split(",") if (token := part.strip(SPACE))]

    def __repr__(self) -> str:
        # The values may be credentials (Cookie, Authorization), and reprs end in logs.
        return f"<Headers {shortened(', '.join(self))}>"


@final
class Request:
    """The HTTP request of one newcomer; read-only.

    Source: RFC 6455 section 4.2.1.
    """

    __slots__ = (
        *("_head", "_parsed", "body", "host", "method", "path", "path_params", "peer_certificate"),
        *("peer_certificate_der", "port", "proxy", "query_string", "secure"),
    )

    path: str
    """Path of the target, with bytes above ASCII and escapes as they came: matching is exact."""
    query_string: str | None
    """The part of the target after the first ``?``; None without one."""
    host: str
    """The client's address: an IP address, or ``""`` on a unix socket. Behind proxies it is the address that
    ``trusted_proxies`` name, and otherwise that of the proxy."""
    port: int
    """The client's port; 0 on a unix socket, or if a proxy names the address alone."""
    secure: bool
    """Whether the client used TLS: that of this server, unless ``trusted_proxies`` name another."""
    proxy: ProxyHeader | None
    """The header in front of the request, on a listening socket with the PROXY protocol; else None."""
    peer_certificate: Mapping[str, Any] | None
    """The client's TLS certificate, as :meth:`ssl.SSLSocket.getpeercert` describes it: ``subject``, ``issuer``,
    ``subjectAltName``, ``serialNumber``, ``notAfter``. None without one, and where the server asks for none
    (``client_ca``)."""
    peer_certificate_der: bytes | None
    """The bytes of that certificate (DER), for a fingerprint or another library; None without one."""
    method: str
    """The HTTP method in upper case."""
    body: bytes
    """The content of a plain HTTP request to a route, at most ``capacity.max_body`` bytes; else empty."""
    path_params: Mapping[str, str]
    """The segments that ``{name}`` in the registered path matched, with escapes as they came
    (``urllib.parse.unquote``). Of a client that moved: those of the path that it came by."""

    def __init__(
        self,
        target: str,
        fields: list[tuple[bytes, bytes]],
        *,
        method: str = "GET",
        host: str = "",
        port: int = 0,
        secure: bool = False,
    ) -> None:
        self.path, mark, query = target.partition("?")
        self.query_string = query if mark else None
        self.method = method
        self.body = b""
        self.host = host
        self.port = port
        self.secure = secure
        self.proxy = None
        self.path_params = NO_PARAMS
        self.peer_certificate = None
        self.peer_certificate_der = None
        self._head = SEPARATOR.join(chain.from_iterable(fields))
        self._parsed: Headers | None = None
        """The fields while the server decides and asks for them often; an idle client is better without."""

    @property
    def headers(self) -> Headers:
        """Every header field; ``Host`` is the name in an absolute target (RFC 9112 section 3.2.2), or the one that
        ``trusted_proxies`` name."""
        if self._parsed is not None:
            return self._parsed
        parts = self._head.decode("latin-1").split("\r\n") if self._head else []
        return Headers(list(zip(map(str.lower, parts[::2]), parts[1::2], strict=True)))

    @property
    def query(self) -> dict[str, list[str]]:
        """The query string parsed: name to values. Blank values are kept."""
        return parse_qs(self.query_string or "", keep_blank_values=True)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name, read as leniently as browsers send them.

        A cookie of another application on the same host, such as ``prefs={"a":1}``, costs no other
        cookie. Of two with the same name the first counts, which browsers send for the longer path. A
        pair of quotes around a value is taken off; values are UTF-8 where they can be, and nothing else is
        decoded. A cookie without a name is left out. Source: RFC 6265 section 5.4.
        """
        found: dict[str, str] = {}
        for field in self.headers.getall("cookie"):  # several in HTTP/2, as its proxies pass them on
            for pair in field.split(";"):
                name, equals, value = pair.partition("=")
                name, value = utf8(name.strip(SPACE)), utf8(value.strip(SPACE))
                if equals and name:
                    found.setdefault(name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
        return found

    @property
    def origin(self) -> str | None:
        """The ``Origin`` header field; None if absent, as from most clients but browsers.

        In versions 7 and 8 it is called ``Sec-WebSocket-Origin``, but for the last drafts of 8.
        """
        headers = self.headers
        values = headers.by_name
        if "sec-websocket-origin" in values and version_of(headers) in (7, 8):
            return values["sec-websocket-origin"][0]
        return values["origin"][0] if "origin" in values else None

    @property
    def version(self) -> int | None:
        """The version of the WebSocket protocol asked for: 13, 8, 7 or 0 (hixie-76); None for any other."""
        return version_of(self.headers)

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols offered, in the peer's order of preference."""
        return self.headers.tokens("sec-websocket-protocol")

    def __repr__(self) -> str:
        method, path = shortened(self.method), quoted(self.path)
        return f"<Request {method} {path} from {peer_name(self.host, self.port)}>"


def utf8(text: str) -> str:
    """Undo a decoding as Latin-1 of text that was UTF-8."""
    try:
        return text if text.isascii() else text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def has_token(headers: Headers, name: str, token: str) -> bool:
    """Return whether fields have a token, which is in lower case as their name is; theirs can be in any."""
    values = headers.by_name.get(name)
    if values is None:
        return False
    return values[0].lower() == token or token in map(str.lower, headers.tokens(name))


NAMED_VERSIONS = {"13": 13, "8": 8, "7": 7}
VERSIONS = frozenset({13, 8, 7, 0})
"""The versions of the WebSocket protocol there is code for."""


def version_of(headers: Headers) -> int | None:
    """Return the version of the WebSocket protocol a request asks for; None for an unknown one, or without any."""
    values = headers.by_name
    named = values.get("sec-websocket-version")
    if named is None:  # its two keys show hixie-76
        return 0 if "sec-websocket-key1" in values and "sec-websocket-key2" in values else None
    return NAMED_VERSIONS.get(named[0]) if len(named) == 1 else None


NO_PARAMS: Mapping[str, str] = {}


def peer_name(host: str, port: int) -> str:
    """Name a peer for a log line."""
    if not host:
        return "unix peer"
    if not port:  # a proxy told the address alone
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
