"""Which proxy a connection goes through: an argument, or the environment as curl and others read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.request import getproxies_environment

from wsframe.exceptions import InvalidURL
from wsframe.outgoing.url import Target, ascii_host, credentials_of, split_url

__all__ = ["ENVIRONMENT", "Proxy", "proxy_for"]

ENVIRONMENT: Final = "environment"

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy."""

    scheme: str
    """``http``, ``https``, ``socks5`` (names are resolved here) or ``socks5h`` (there)."""
    host: str
    port: int
    credentials: tuple[str, str] | None = None

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Parse the URL of a proxy; one without a scheme is an HTTP proxy's.

        Raises:
            InvalidURL: If it is none, or of a kind that is not known.
        """
        parts = split_url(url if "://" in url else f"http://{url}")
        scheme = parts.scheme.lower()
        if scheme not in PORTS:
            raise InvalidURL(f"a proxy is http, https, socks5 or socks5h, not {scheme!r}")
        credentials = credentials_of(parts)
        if scheme.startswith("socks") and any(not word.isascii() or len(word) > 255 for word in credentials or ()):
            raise InvalidURL(
                "SOCKS takes user names and passwords in ASCII, of at most 255 octets (RFC 1929 section 2)"
            )
        return cls(scheme, ascii_host(parts), parts.port or PORTS[scheme], credentials)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(target: Target, proxy: str | None) -> Proxy | None:
    """Return the proxy for a target; None for a direct connection.

    Args:
        target: Where the connection goes.
        proxy: The proxy's URL; None for none; :data:`ENVIRONMENT` for what ``HTTPS_PROXY``
            (for wss), ``HTTP_PROXY`` (for ws), ``ALL_PROXY`` and ``NO_PROXY`` say.

    Raises:
        InvalidURL: If the proxy's URL is none.
    """
    if proxy != ENVIRONMENT:
        return None if proxy is None else Proxy.parse(proxy)
    named = getproxies_environment()
    url = named.get("https" if target.secure else "http") or named.get("all")
    return None if not url or bypassed(target, named.get("no", "")) else Proxy.parse(url)


def bypassed(target: Target, no_proxy: str) -> bool:
    """Tell whether ``NO_PROXY`` names a target: by its host or a domain it is in, perhaps with a port."""
    for entry in no_proxy.lower().split(","):
        name = entry.strip().removeprefix(".")
        if name == "*" or (name and any(f".{host}".endswith(f".{name}") for host in (target.host, target.destination))):
            return True
    return False
