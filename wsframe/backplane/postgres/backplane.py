"""A backplane on PostgreSQL: notifications for topics, tables for history and leases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from urllib.parse import parse_qsl, quote, urlencode

import trio

from wsframe.backplane.engines.engine import BackplaneRefused, EngineLink, Take
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.engines.url import ENCODED, one_line, split_url
from wsframe.backplane.queue import LIMIT
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["PostgresBackplane"]

CONNECTED_WITHIN = 2.0
"""Seconds in which a connection is made, TLS and login included."""
MISSING = "a PostgreSQL backplane needs the extra 'postgresql': pip install 'wsframe[postgresql]'"
FORMS = "postgresql://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], with libpq's parameters after a question mark"
WRONG = (
    "password authentication failed",
    "no password supplied",
    "authentication failed",
    "no pg_hba.conf entry",
    "does not exist",
)


class PostgresBackplane(SupervisedBackplane):
    """A backplane on a PostgreSQL server, version 12 or later; needs ``wsframe[postgresql]``.

    It makes its tables, whose names begin with ``wsframe_``, in the first schema of the search path, unless they exist.
    Connect to the server itself: PgBouncer passes on notifications only in session mode.

    Args:
        url: ``postgresql://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]``, with the parameters of libpq after a question
            mark, such as ``sslmode=verify-full``, and ``service``, which separates services (default ``wsframe``).
        limit: Bytes that wait to be published before ``publish`` returns False. Default 8 MiB.

    Raises:
        ValueError: For another URL.
        ModuleNotFoundError: Without psycopg.
    """

    def __init__(self, url: str, *, limit: int = LIMIT) -> None:
        super().__init__(PostgresEngine(url), limit=limit)


class PostgresEngine:
    """Connects to one server."""

    def __init__(self, url: str) -> None:
        if find_spec("psycopg") is None:
            raise ModuleNotFoundError(MISSING)
        self._settings, self._service, self._secrets = settings_of(url)
        place = self._settings.get("host", "localhost")
        place = f"[{place}]" if ":" in place and "," not in place else place
        port = self._settings.get("port")
        self.name: str = f"postgresql://{place}{':' + port if port else ''}/{self._settings.get('dbname', '')}"

    def redacted(self, error: BaseException) -> str:
        """Describe an error in one line, without passwords."""
        text = str(error)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return one_line(text) or type(error).__name__

    @asynccontextmanager
    async def connect(self, take: Take) -> AsyncIterator[EngineLink]:
        """Connect, make the tables that are missing, and serve the connection."""
        from wsframe.backplane.postgres.libpq import NotConnected, PostgresConnection, connected
        from wsframe.backplane.postgres.link import PostgresLink

        try:
            raw = await connected(self._settings, CONNECTED_WITHIN)
        except NotConnected as error:
            if any(word in str(error) for word in WRONG):
                raise BackplaneRefused(f"the backplane at {self.name} refuses us: {self.redacted(error)}") from None
            raise
        link = PostgresLink(self._service, take)
        link.connection = PostgresConnection(raw, link.notified)
        try:
            async with ProtectedNursery() as nursery:
                nursery.start_soon(link.connection.send)
                nursery.start_soon(link.connection.read)
                nursery.start_soon(link.read_large)
                with trio.fail_after(CONNECTED_WITHIN):
                    await link.prepare()
                yield link
                nursery.cancel()
        finally:
            raw.finish()


def settings_of(url: str) -> tuple[dict[str, str], str, list[str]]:
    """Read a URL: the settings of libpq, the service, and the values that must not be shown.

    Raises:
        ValueError: If libpq cannot read it; the text never contains the URL.
    """
    from psycopg import OperationalError, pq

    try:
        parts = split_url(url)
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError
        if "," not in parts.netloc:  # libpq knows lists of hosts, and would report a wrong port only later
            parts.port  # noqa: B018
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        service = query.pop("service", "") or "wsframe"
        plain = f"postgresql://{parts.netloc}{parts.path}?{urlencode(query, quote_via=quote)}"
        options = pq.Conninfo.parse(plain.encode())
    except (ValueError, OperationalError):
        raise ValueError(f"the URL of a PostgreSQL backplane cannot be read: expected {FORMS}; {ENCODED}") from None
    settings = {one.keyword.decode(): one.val.decode() for one in options if one.val is not None}
    secrets = [value for one in options if one.dispchar == b"*" and (value := settings.get(one.keyword.decode()))]
    return settings, service, secrets
