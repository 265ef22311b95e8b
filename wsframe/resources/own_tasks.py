"""The part of a resource that runs without a client: its tasks, messages to itself, and calls from elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar, TypeVarTuple, overload

from wsframe.resources.life import Life

if TYPE_CHECKING:
    from wsframe.resources.client import DataT
else:
    DataT = TypeVar("DataT")

__all__ = ["OwnTasks"]

ResultT = TypeVar("ResultT")
ArgsT = TypeVarTuple("ArgsT")


class OwnTasks(Generic[DataT]):
    """The methods by which a resource acts outside of its clients' hooks; :class:`Resource` has them."""

    _listener: Life[DataT] | None = None

    def start_soon(self, fn: Callable[[*ArgsT], Awaitable[object]], *args: *ArgsT) -> None:
        """Start a task that belongs to the resource, such as a ticker.

        It is cancelled before :meth:`running` is left. If it raises, the resource's clients
        are closed 1011, and the resource starts again for the next new client.

        Raises:
            RuntimeError: While the resource is not being served, or from another thread.
            TypeError: For anything but an async function, or one that does not take the arguments.
        """
        if self._listener is None:
            raise RuntimeError(f"{type(self).__name__} is not being served: start its tasks in running()")
        self._listener.start_soon(fn, args)

    def post(self, message: object) -> bool:
        """Have ``received_custom`` called with ``message`` in the listener task; return whether it was queued.

        False when the resource is not being served or 10 000 posts wait.

        Raises:
            RuntimeError: From another thread; there it is :meth:`post_from_thread`.
        """
        return self._listener is not None and self._listener.post(message)

    def post_from_thread(self, message: object) -> None:
        """Do as :meth:`post` does, from any thread; returns at once.

        It does not say whether the message was queued, which is not known yet: a message that
        :meth:`post` would refuse is logged as an error. A thread that must know runs
        :meth:`post` through ``trio.from_thread.run_sync``, and waits for it.

        Raises:
            RuntimeError: While the resource is not being served.
        """
        self._life().post_from_thread(message)

    @overload
    async def call(self, fn: Callable[[*ArgsT], Awaitable[ResultT]], *args: *ArgsT) -> ResultT: ...

    @overload
    async def call(self, fn: Callable[[*ArgsT], ResultT], *args: *ArgsT) -> ResultT: ...

    async def call(self, fn: Callable[[*ArgsT], object], *args: *ArgsT) -> object:
        """Run a function, sync or async, in the listener task and return its result.

        Raises:
            RuntimeError: From the listener task itself, which would wait for itself, or
                while the resource is not being served.
            ResourceEnded: If the resource stops first.

        An exception in ``fn`` is raised here.
        """
        return await self._life().call(fn, args)

    def _life(self) -> Life[DataT]:
        if self._listener is None:
            raise RuntimeError(f"{type(self).__name__} is not being served: register it, and await the server's start")
        return self._listener
