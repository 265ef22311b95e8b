"""PostgreSQL's own client library, driven by trio: one connection, one task that reads.

A command that is cancelled half-way leaves a connection busy for ever. So callers queue commands and wait for their
results; one task sends them, one after another, and one reads, both results and notifications.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio
from psycopg import pq

from wsframe.doorbell import Doorbell

__all__ = ["CommandFailed", "NotConnected", "PostgresConnection", "Row", "Value", "connected"]

Value = str | bytes | int
"""A parameter: text, binary data, a number."""
Row = tuple[bytes, ...]


class NotConnected(OSError):
    """A connection could not be made."""


class CommandFailed(Exception):
    """The server refused a command."""


@dataclass(frozen=True, eq=False)
class PostgresCommand:
    """A command that waits, or runs."""

    text: bytes
    values: Sequence[Value]
    rows: list[Row]
    done: trio.Event
    failures: list[str]


class PostgresConnection:
    """A connection that is open.

    Args:
        raw: The connection of libpq.
        notified: Called with the channel and the payload of each notification, in order.
    """

    def __init__(self, raw: Any, notified: Callable[[str, str], object]) -> None:
        self._raw = raw
        self._notified = notified
        self._waiting: deque[PostgresCommand] = deque()
        self._running: PostgresCommand | None = None
        self._doorbell = Doorbell()

    async def execute(self, text: str, *values: Value) -> list[Row]:
        """Run a command after those that wait; return its rows as text.

        A command that is given up before its turn never runs: nobody would know of a lease that it gets.

        Raises:
            CommandFailed: If the server refuses it.
        """
        command = PostgresCommand(text.encode(), values, [], trio.Event(), [])
        self._waiting.append(command)
        self._doorbell.ring()
        try:
            await command.done.wait()
        except trio.Cancelled:
            if command in self._waiting:
                self._waiting.remove(command)
            raise
        if command.failures:
            raise CommandFailed(command.failures[0].partition("\n")[0])
        return command.rows

    async def send(self) -> None:
        """Send the commands that come, until the connection ends."""
        while True:
            if not self._waiting:
                await self._doorbell.wait()
                continue
            self._running = command = self._waiting.popleft()
            if command.values:
                formats = [pq.Format.BINARY if isinstance(one, bytes) else pq.Format.TEXT for one in command.values]
                values = [one if isinstance(one, bytes) else str(one).encode() for one in command.values]
                self._raw.send_query_params(command.text, values, param_formats=formats)
            else:
                self._raw.send_query(command.text)
            while self._raw.flush():
                await trio.lowlevel.wait_writable(self._raw.socket)
            self._take()
            await command.done.wait()

    async def read(self) -> None:
        """Take the server's messages, until the connection ends, which raises."""
        while True:
            await trio.lowlevel.wait_readable(self._raw.socket)
            self._raw.consume_input()
            self._take()

    def _take(self) -> None:
        while (notification := self._raw.notifies()) is not None:
            self._notified(notification.relname.decode(), notification.extra.decode())
        while self._running is not None and not self._raw.is_busy():
            result = self._raw.get_result()
            if result is None:
                self._running.done.set()
                self._running = None
            elif result.status == pq.ExecStatus.TUPLES_OK:
                for row in range(result.ntuples):
                    self._running.rows.append(
                        tuple(result.get_value(row, column) or b"" for column in range(result.nfields))
                    )
            elif result.status != pq.ExecStatus.COMMAND_OK:
                self._running.failures.append(result.get_error_message().strip())


async def connected(settings: dict[str, str], within: float) -> Any:
    """Connect; names are looked up in a thread, because libpq would do it in this one.

    Raises:
        NotConnected: With libpq's reason.
    """
    raw = None
    try:
        with trio.fail_after(within):
            info = await looked_up(settings)
            raw = pq.PGconn.connect_start(b" ".join(written(name, value) for name, value in info.items()))
            status: int = pq.PollingStatus.WRITING
            while status != pq.PollingStatus.OK:
                if status == pq.PollingStatus.FAILED:
                    raise NotConnected(raw.get_error_message().strip())
                if status == pq.PollingStatus.READING:
                    await trio.lowlevel.wait_readable(raw.socket)
                else:
                    await trio.lowlevel.wait_writable(raw.socket)
                status = raw.connect_poll()
            raw.nonblocking = 1
            return raw
    except BaseException:
        if raw is not None:
            raw.finish()
        raise


async def looked_up(settings: dict[str, str]) -> dict[str, str]:
    """Return settings with the addresses of their host, of which libpq tries each."""
    host = settings.get("host", "")
    if not host or host.startswith(("/", "@")) or "," in host or "hostaddr" in settings:
        return settings
    found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    return {**settings, "host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}


def written(name: str, value: str) -> bytes:
    """Write a setting as libpq reads it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'".encode()
