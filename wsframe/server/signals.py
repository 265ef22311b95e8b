"""Obeying SIGINT and SIGTERM, also while a hook keeps the event loop.

A thread hears of the signals: the first one drains, the second hurries, and if the server has not ended a second later,
or cannot, the process ends by the signal's default action, which its wait status shows.

Where code that is not Python holds the interpreter's lock, such as an endless regular
expression, the thread cannot run. Such code can look for signals: the kernel sends one more,
and that ends the process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from logging import getLogger
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Self

import trio

from wsframe.log import Log, log_for
from wsframe.server.kernel_timer import send_later

__all__ = ["Attention"]

logger: Log = log_for(__name__)

NUMBERS = (signal.SIGINT, signal.SIGTERM)

# Seconds that a server has for its end after the second signal.
LAST_SECONDS = 1.0
# Seconds until the kernel sends the signal again, where the thread has not ended the process.
KERNEL_SECONDS = 2
# Seconds for the last line of the log, because logging can wait for ever.
LAST_WORDS = 0.3


class Attention:
    """Attends to signals for one server, within a ``with`` in trio and in the main thread.

    Args:
        close: Called in trio at the first signal.
        hurry: Called in trio at the second.
        until_exit: Whether the process has to be gone a second after the second signal, and not
            only this to be left.

    Raises:
        RuntimeError: If it is entered in another thread.
    """

    def __init__(self, close: Callable[[], object], hurry: Callable[[], object], *, until_exit: bool = False) -> None:
        self._close = close
        self._hurry = hurry
        self._until_exit = until_exit
        self._token = trio.lowlevel.current_trio_token()
        self._replaced: list[tuple[signal.Signals, object]] = []
        self._ear, self._wire = socket.socketpair()
        self._wire.setblocking(False)
        self._previous_wire = -1
        self._over = False
        self._handled = 0
        self._handled_at = 0.0
        self._call_off: Callable[[], object] = nothing
        self._thread = threading.Thread(target=self._attend, name="wsframe signals", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        if threading.current_thread() is not threading.main_thread():
            self._close_sockets()
            raise RuntimeError(
                "signals come to the main thread: call run() there, or have trio.run() call serve() in this one"
            )
        for number in NUMBERS:
            self._replaced.append((number, signal.signal(number, self._handle)))
        # The interpreter's own handler writes here, also where code that is not Python keeps the thread.
        self._previous_wire = signal.set_wakeup_fd(self._wire.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        attending.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, with the thread, and put back the former handlers."""
        if self in attending:  # else it is left in a child
            attending.remove(self)
        self._put_back(self._previous_wire)
        self._over = True
        if not self._until_exit:
            self._call_off()
        self._wire.close()  # which the thread notices
        self._thread.join(LAST_SECONDS / 2)
        if not self._thread.is_alive():
            self._ear.close()

    def _put_back(self, wire: int) -> None:
        """Put back the former handlers."""
        signal.set_wakeup_fd(wire)
        for number, handler in self._replaced:
            if self._obeys(number) and handler is not None:
                signal.signal(number, handler)  # type: ignore[arg-type]

    def forget_in_child(self) -> None:
        """Leave signals alone in a process that user code has forked: our wire leads to the server."""
        self._put_back(-1)
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._ear.close()
        self._wire.close()

    def _obeys(self, number: int) -> bool:
        """Return whether the signal is still ours: other code can have taken it over."""
        return number in NUMBERS and signal.getsignal(number) == self._handle

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Hear of a signal in the main thread, where that comes to it."""
        self._handled += 1
        if self._handled == 2:
            self._handled_at = monotonic()
            self._call_off = send_later(number, KERNEL_SECONDS)
        elif self._handled > 2 and monotonic() > self._handled_at + LAST_SECONDS + LAST_WORDS:
            # The thread, which says so in the log first, has had its time.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _attend(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)  # they must interrupt the main thread
        obeyed, last, by = 0, signal.SIGTERM, None
        while True:
            self._ear.settimeout(None if by is None else max(by - monotonic(), 0.001))
            try:
                data = self._ear.recv(64)
            except TimeoutError:
                break
            if not data:
                if by is None or not self._until_exit:
                    return
                sleep(max(by - monotonic(), 0))
                break
            for number in data:
                if self._obeys(number):
                    obeyed += 1
                    self._tell_loop(self._close if obeyed == 1 else self._hurry)
                    if obeyed == 2:
                        last, by = signal.Signals(number), monotonic() + LAST_SECONDS
            self._tell_loop(nothing)  # trio's own wire has not been written to
        if not self._over or self._until_exit:
            end_by(last)

    def _tell_loop(self, order: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(order)


class Forking(threading.local):
    """Keeps signals back while user code forks: the child would hand its own signals on to the server."""

    mask: set[signal.Signals | int] | None = None

    def before(self) -> None:
        """Block them in this thread, and so in the child."""
        if attending:
            self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)

    def in_parent(self) -> None:
        """Go on as before."""
        if self.mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
            self.mask = None

    def in_child(self) -> None:
        """Put back the former handlers there."""
        for one in attending:
            with suppress(ValueError, OSError):  # in a child of another thread
                one.forget_in_child()
        attending.clear()
        self.in_parent()


attending: list[Attention] = []
"""The objects that are entered."""

if hasattr(os, "register_at_fork"):
    forking: Forking = Forking()
    os.register_at_fork(before=forking.before, after_in_parent=forking.in_parent, after_in_child=forking.in_child)


def nothing() -> None:
    """Wake the loop."""


def end_by(number: signal.Signals) -> None:
    """End the process by a signal's default action, from any thread."""
    words = threading.Thread(target=say_last_words, args=(number,), daemon=True)
    words.start()
    words.join(LAST_WORDS)
    with suppress(AttributeError, ctypes.ArgumentError):
        # signal.signal() is for the main thread alone, which does not listen.
        ctypes.pythonapi.PyOS_setsig(ctypes.c_int(number), ctypes.c_void_p(None))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    os.kill(os.getpid(), number)
    sleep(1)
    os._exit(128 + number)


def say_last_words(number: signal.Signals) -> None:
    logger.error("the server has not ended %g s after the second signal: %s ends it", LAST_SECONDS, number.name)
    for handler in (*getLogger("wsframe").handlers, *getLogger().handlers):
        handler.flush()
