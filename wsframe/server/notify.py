"""Messages to systemd, or to another service manager, about the state of the server: ready, reloading, stopping, alive.

The messages go to the datagram socket that ``NOTIFY_SOCKET`` names; without it nothing is sent.
The watchdog's go out from a task of the event loop, so that they stop where the loop is blocked.
Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from time import monotonic_ns

import trio

from wsframe.digits import whole_number
from wsframe.log import Log, log_for, quoted
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["Notifier", "main_pid", "notifying", "watchdog_interval"]

logger: Log = log_for(__name__)

# Seconds that a message waits for the manager to read earlier ones.
PATIENCE = 2.0
LONGEST = 2**64 - 1  # microseconds of a watchdog, as systemd writes them

main_pid: ContextVar[int] = ContextVar("main_pid")
"""The process that the manager is to watch, where that is not this one but its supervisor."""


class Notifier:
    """Sends messages to a service manager; a failure is a line in the log.

    Args:
        address: The path of its socket, or its abstract name after ``@``; ``""`` sends nothing.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket = connected(address) if address else None

    async def say(self, *lines: str) -> None:
        """Send one message of these lines."""
        if self._socket is None:
            return
        message = "\n".join(lines).encode()
        with trio.move_on_after(PATIENCE):
            while True:
                try:
                    self._socket.send(message)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._socket)
                except OSError as error:
                    complain(self._address, error.strerror)
                    return
                else:
                    return
        complain(self._address, "it does not read its messages")

    async def ready(self, *lines: str) -> None:
        """Say that the server is ready."""
        await self.say("READY=1", f"MAINPID={main_pid.get(os.getpid())}", *lines)

    @asynccontextmanager
    async def reloading(self) -> AsyncIterator[None]:
        """Say that the server reloads its configuration, and at the end that it is ready again."""
        await self.say("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")
        try:
            yield
        finally:
            await self.say("READY=1")

    async def keep_watchdog(self, interval: float) -> None:
        """Say that the event loop turns, until cancelled."""
        while True:
            await self.say("WATCHDOG=1")
            await trio.sleep(interval)

    def close(self) -> None:
        """Send no more."""
        if self._socket is not None:
            self._socket.close()


def connected(address: str) -> socket.socket | None:
    """Return a socket that leads to the manager; None, with a line in the log, if that is impossible."""
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        complain(address, "only paths and abstract names of unix sockets are supported")
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        sock.close()
        complain(address, error.strerror or str(error))
        return None
    return sock


def complain(address: str, reason: str | None) -> None:
    logger.warning("cannot notify the service manager at NOTIFY_SOCKET=%s: %s", quoted(address), reason)


def watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between two messages to the watchdog: half of the time that it waits; None without a
    watchdog."""
    microseconds = whole_number(environment.get("WATCHDOG_USEC", ""), LONGEST)
    meant = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()), str(main_pid.get(0)))
    return microseconds / 2_000_000 if meant and microseconds else None


@asynccontextmanager
async def notifying(stopping: Callable[[], Awaitable[object]], status: str) -> AsyncIterator[Notifier]:
    """Tell the manager that the server is ready, alive, and at last stopping; the body must raise only Cancelled.

    Args:
        stopping: Returns when the server begins to stop.
        status: One line for people.
    """
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET", ""))
    interval = watchdog_interval(os.environ)

    async def tell_stopping() -> None:
        await stopping()
        await notifier.say("STOPPING=1", "STATUS=stopping")

    try:
        await notifier.ready(f"STATUS={status}")
        async with ProtectedNursery() as nursery:
            nursery.start_soon(tell_stopping)
            if interval is not None:
                nursery.start_soon(notifier.keep_watchdog, interval)
            yield notifier
            nursery.cancel()
    finally:
        notifier.close()
