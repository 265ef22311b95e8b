"""The parts of the URL of a WebSocket (RFC 6455 section 3), and where a redirect leads."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from re import compile as pattern
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from wsframe.http.client_handshake import HandshakeFailed
from wsframe.log import escaped, shortened
from wsframe.outgoing.exceptions import InvalidURL
from wsframe.outgoing.hosts import bracketed, split_zone

__all__ = ["Target", "basic_authorization", "credentials_of", "redirected", "split_url"]

PORTS = {"ws": 80, "wss": 443}
# urlsplit drops tabs and line feeds without a word: two spellings of one URL.
FORBIDDEN = pattern(r"[\x00-\x20\x7f]")
BRACKETED = pattern(r"\[[^\[\]]*:[^\[\]]*\](?::[0-9]*)?")
# RFC 7617 section 2 allows none of these in user and password.
CONTROL = pattern(r"[\x00-\x1f\x7f]")
# Characters that stay as they are in path and query; all others are escaped.
SAFE = "%/:=&?~#+!$,;'@()*[]|\\^`{}\""
# Servers name their own pages in a redirect, whose scheme is that of HTTP.
SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection goes."""

    secure: bool
    host: str
    """Name or address, in ASCII; an IPv6 address without brackets and zone. A name may end in a dot."""
    port: int
    resource: str
    """Path and query."""
    credentials: tuple[str, str] | None = None
    """User and password."""
    zone: str = ""
    """Which of our networks an IPv6 address is on (RFC 6874). It means nothing elsewhere and is never sent."""

    @classmethod
    def parse(cls, url: str) -> Target:
        """Parse a ``ws`` or ``wss`` URL.

        Raises:
            InvalidURL: If it is not one, or has a fragment.
        """
        parts = split_url(url)
        scheme = parts.scheme.lower()
        if scheme not in PORTS:
            raise InvalidURL(f"the URL of a WebSocket begins with ws:// or wss://, not {shortened(scheme)}://")
        if "#" in url:
            raise InvalidURL("the URL of a WebSocket must have no fragment (RFC 6455 section 3); write # as %23")
        resource = quote(parts.path, SAFE) or "/"
        if "?" in url:
            resource += f"?{quote(parts.query, SAFE)}"
        host, zone = split_zone(parts.hostname or "")
        return cls(scheme == "wss", host, parts.port or PORTS[scheme], resource, credentials_of(parts), zone)

    @property
    def origin(self) -> tuple[bool, str, int, str]:
        """Scheme, host and port, which decide which servers may see credentials (RFC 6454); and the zone."""
        return self.secure, self.host, self.port, self.zone

    @property
    def authority(self) -> str:
        """Host and port as Host has them, without a default port."""
        host = bracketed(self.host)
        return host if self.port == PORTS["wss" if self.secure else "ws"] else f"{host}:{self.port}"

    @property
    def destination(self) -> str:
        """Host and port as CONNECT has them, always with the port."""
        return f"{bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        """Return the URL without credentials and query, which may be a secret too: for messages and log lines."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.resource.partition('?')[0]}"


def split_url(url: str) -> SplitResult:
    """Split a URL with a host.

    Raises:
        TypeError: If it is not a str.
        InvalidURL: If it has no host, or its port is invalid, or it holds control characters or spaces.
    """
    if not isinstance(url, str):
        raise TypeError(f"a URL must be a str, got {type(url).__name__}")
    if FORBIDDEN.search(url):
        raise InvalidURL("the URL has a space or a control character; write it as a percent escape")
    if "://" not in url:
        raise InvalidURL("the URL has no scheme: it must start with ws:// or wss://")
    try:
        url.encode()
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidURL(f"the URL cannot be read: {escaped(str(error))}") from None
    if "\\" in parts.netloc:  # to a browser the host ends there, to others it begins after the @ that follows
        raise InvalidURL("the URL has a backslash in place of a slash, or in user and password: write / or %5C")
    if not parts.hostname or parts.port == 0:
        raise InvalidURL("the URL names no host, or port 0")
    if "[" in parts.netloc and not BRACKETED.fullmatch(parts.netloc.rpartition("@")[2]):
        raise InvalidURL("brackets in a URL must hold an IPv6 address, and only a port can follow them")
    return parts


def credentials_of(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None:
        return None
    user, password = (unquote(part, errors="surrogateescape") for part in (parts.username, parts.password or ""))
    if ":" in user:  # it would be read as the beginning of the password (RFC 7617 section 2)
        raise InvalidURL("a user name for basic authentication must not contain a colon")
    if CONTROL.search(user + password):
        raise InvalidURL("user and password for basic authentication must not contain control characters")
    return user, password


def basic_authorization(credentials: tuple[str, str]) -> str:
    """Make the value of Authorization (RFC 7617)."""
    return f"Basic {b64encode(':'.join(credentials).encode(errors='surrogateescape')).decode()}"


def redirected(target: Target, location: str) -> Target:
    """Return where a redirect leads; credentials stay only within the same origin.

    Raises:
        HandshakeFailed: If it does not lead to a WebSocket, or leads from TLS to a connection without.
    """
    base = f"{'wss' if target.secure else 'ws'}://{target.authority}"
    try:
        # urljoin joins nothing to schemes it does not know; http has the same form.
        joined = urljoin(f"http{base[2:]}{target.resource}", location)
        scheme, colon, rest = joined.partition(":")
        scheme = SCHEMES.get(scheme.lower(), scheme)
        found = Target.parse(f"{scheme}{colon}{rest.partition('#')[0]}")
    except ValueError as error:
        raise HandshakeFailed(f"the redirect of the server does not lead to a WebSocket: {error}") from None
    if target.secure and not found.secure:
        raise HandshakeFailed("the server redirected from wss to ws, which is not followed")
    zone = target.zone if found.host == target.host else found.zone  # the server does not know our zones
    found = replace(found, zone=zone, credentials=None)
    return replace(found, credentials=target.credentials) if found.origin == target.origin else found
