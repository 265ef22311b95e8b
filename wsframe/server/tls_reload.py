"""When certificates are read again: when their files have changed, and at SIGHUP."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext

import trio

from wsframe.server.notify import Notifier
from wsframe.server.tls import ServerTLS

__all__ = ["hearing_sighup", "reload_at_sighup", "watch_files"]

# Seconds between two looks at the files: file systems do not always report changes, least of all those of a link.
LOOK_EVERY = 5.0
# Seconds that the files have to stay the same before they are read: a renewal replaces one after the other.
REST = 1.0
# Looks at files that change all the time.
MOST_LOOKS = 10


async def watch_files(tls: ServerTLS) -> None:
    """Reload changed certificates, and tell of those that expire, until cancelled."""
    while True:
        await trio.sleep(LOOK_EVERY)
        tls.look_at_time()
        if tls.changed:
            seen = tls.signature()
            for _ in range(MOST_LOOKS):
                await trio.sleep(REST)
                before, seen = seen, tls.signature()
                if seen == before:
                    break
            if tls.changed:
                tls.reload()


def hearing_sighup(reloads: bool) -> AbstractContextManager[AsyncIterator[int] | None]:
    """Hear SIGHUP, in trio's main thread; where there is nothing to reload, leave its action."""
    return trio.open_signal_receiver(signal.SIGHUP) if reloads and hasattr(signal, "SIGHUP") else nullcontext()


async def reload_at_sighup(
    signals: AsyncIterator[int] | None, reload: Callable[[], object], notifier: Notifier
) -> None:
    """Reload at each signal that is heard.

    Args:
        signals: The signals.
        reload: Reads the certificates again.
        notifier: Informs the service manager.
    """
    if signals is not None:
        async for _ in signals:
            async with notifier.reloading():
                reload()
