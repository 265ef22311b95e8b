"""The server around user code, for errors there that end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from threading import get_ident
from typing import TypeGuard, TypeVar

__all__ = ["Program", "is_a", "leaves", "members", "program"]

ErrorT = TypeVar("ErrorT", bound=BaseException)


class Program:
    """The two ways in which an error of user code ends the server that runs it.

    Args:
        debug: Whether an error enters the debugger or, without a terminal, ends the server.
        drain: Begins to end the server in order.
        cut_off: Ends it now.
    """

    def __init__(self, *, debug: bool, drain: Callable[[], None], cut_off: Callable[[], None]) -> None:
        self.debug = debug
        self.error: BaseException | None = None
        """The server's last word: a SystemExit, or with ``debug`` the error that ended it."""
        self._drain = drain
        self._cut_off = cut_off
        self._thread = get_ident()

    def leave(self, error: SystemExit) -> None:
        """End in order, and with ``error``; in another thread it is raised."""
        if get_ident() != self._thread:
            raise error
        self.error = self.error or error
        self._drain()

    def stop(self, error: BaseException) -> None:
        """End now with ``error``."""
        self.error = self.error or error
        self._cut_off()


program: ContextVar[Program] = ContextVar("program")
"""The program of the server that runs this task."""


def is_a(error: BaseException, kind: type[ErrorT]) -> TypeGuard[ErrorT]:
    """Return whether an error is of a kind, without asking its ``__class__``, which can be user code that raises."""
    return issubclass(type(error), kind)


def members(group: BaseExceptionGroup[BaseException]) -> tuple[BaseException, ...]:
    """Return the errors in a group; a subclass can have its own ``exceptions``, which raises."""
    found: tuple[BaseException, ...] = BaseExceptionGroup.exceptions.__get__(group)
    return found


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, or those in the groups that nurseries make."""
    left = [error]
    while left:
        one = left.pop()
        if is_a(one, BaseExceptionGroup):
            left += members(one)
        else:
            yield one
