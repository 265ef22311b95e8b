"""Where a Redis or Valkey server is, from a URL; the password is never shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from wsframe.backplane.engines.url import ENCODED, split_url
from wsframe.digits import whole_number
from wsframe.log import quoted

__all__ = ["FORMS", "RedisAddress", "redis_address"]

PORT = 6379
MOST_DATABASES = 2**31 - 1
FORMS = "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, redis+unix:///PATH, and the same with valkey"
TLS_OPTIONS = ("ca", "cert", "key")
OPTIONS = ("service", "db", *TLS_OPTIONS)


@dataclass(frozen=True, kw_only=True)
class RedisAddress:
    """The address of a server, and how to log in."""

    host: str = ""
    port: int = PORT
    path: str = ""
    """The path of a unix socket; ``""`` for TCP."""
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None
    """A file of certificates to trust, in place of the system's."""
    cert: str | None = None
    key: str | None = None
    """The files of our own certificate and its key, for servers that ask for one."""
    service: str = "wsframe"
    """The prefix of all channels and keys: services of different names share nothing."""

    @property
    def name(self) -> str:
        """The address for log lines."""
        if self.path:
            return f"redis+unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}"


def redis_address(url: str) -> RedisAddress:
    """Read a URL.

    Raises:
        ValueError: If it is not one of a Redis or Valkey server; the text never contains the URL.
    """
    try:
        parts = split_url(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"the URL of a Redis backplane cannot be read: expected {FORMS}; {ENCODED}") from None
    scheme = parts.scheme.replace("valkey", "redis")
    if scheme not in ("redis", "rediss", "redis+unix"):
        raise ValueError(f"{parts.scheme!r} is not the scheme of a Redis backplane: expected {FORMS}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"{name!r} is not an option of a Redis backplane: it has {', '.join(OPTIONS)}")
    if scheme == "redis+unix" and not parts.path:
        raise ValueError(f"the URL of a Redis backplane names no socket: expected {FORMS}")
    if scheme != "rediss" and any(name in options for name in TLS_OPTIONS):
        raise ValueError("ca, cert and key are for TLS: write rediss://")
    if ("cert" in options) != ("key" in options):
        raise ValueError("cert and key come together")
    return RedisAddress(
        host=parts.hostname or "localhost",
        port=PORT if port is None else port,
        path=unquote(parts.path) if scheme == "redis+unix" else "",
        database=database_of(options.get("db") or ("" if scheme == "redis+unix" else parts.path.strip("/"))),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=scheme == "rediss",
        ca=options.get("ca"),
        cert=options.get("cert"),
        key=options.get("key"),
        service=options.get("service") or "wsframe",
    )


def database_of(text: str) -> int:
    """Read the number of a database; the default is 0."""
    if not text:
        return 0
    number = whole_number(text, MOST_DATABASES)
    if number is None:
        raise ValueError(f"the database of a Redis backplane is a number, not {quoted(text)}")
    return number
