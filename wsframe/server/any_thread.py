"""Methods of a server's handle that other threads can call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from threading import get_ident
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import trio

__all__ = ["Home", "answered_to_any_thread", "obeyed_from_any_thread"]

ArgsT = ParamSpec("ArgsT")
ResultT = TypeVar("ResultT")


class Home:
    """The thread in which a server runs; make it there."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        # Not the token of the caller: between the turns of a guest run there is none in the thread of its host.
        self._thread = get_ident()

    def tell(self, order: Callable[[], object]) -> None:
        """Have a function called there, now or soon; not at all once trio has ended."""
        if get_ident() == self._thread:
            order()
            return
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(order)

    def ask(self, question: Callable[[], ResultT]) -> ResultT:
        """Call a function there and wait for its result."""
        if get_ident() == self._thread:
            return question()
        try:
            return trio.from_thread.run_sync(question, trio_token=self._token)
        except trio.RunFinishedError:  # nothing changes any more
            return question()


class AtHome(Protocol):
    """An object that belongs to a thread."""

    @property
    def home(self) -> Home: ...


ThingT = TypeVar("ThingT", bound=AtHome)


def obeyed_from_any_thread(
    method: Callable[Concatenate[ThingT, ArgsT], None],
) -> Callable[Concatenate[ThingT, ArgsT], None]:
    """Let other threads call a method without waiting for it."""

    @wraps(method)
    def anywhere(self: ThingT, /, *args: ArgsT.args, **keywords: ArgsT.kwargs) -> None:
        self.home.tell(partial(method, self, *args, **keywords))

    return anywhere


def answered_to_any_thread(
    method: Callable[Concatenate[ThingT, ArgsT], ResultT],
) -> Callable[Concatenate[ThingT, ArgsT], ResultT]:
    """Let other threads call a method and wait for its result."""

    @wraps(method)
    def anywhere(self: ThingT, /, *args: ArgsT.args, **keywords: ArgsT.kwargs) -> ResultT:
        return self.home.ask(partial(method, self, *args, **keywords))

    return anywhere
