"""Entries of a mailbox that the resource's own code makes: messages and calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

import trio

from wsframe.connection.mailbox import Mailbox
from wsframe.doorbell import Happening, Signal, check_thread, check_trio
from wsframe.exceptions import ResourceEnded
from wsframe.log import Log, log_for
from wsframe.protocol.fast_lane import weigh

__all__ = ["MAX_POSTS", "Call", "Errand", "Notice", "Post", "Posts"]

logger: Log = log_for(__name__)

MAX_POSTS = 10_000


class Post:
    """A message from :meth:`Resource.post`."""

    __slots__ = ("byte_count", "message")

    def __init__(self, message: object) -> None:
        self.message: object = message
        self.byte_count: int = weigh(message) if type(message) is str or type(message) is bytes else 0
        """Its bytes; of other objects the size is not known."""


class Call:
    """A function from :meth:`Resource.call`, and the signal its caller waits for."""

    __slots__ = ("abandoned", "args", "fn", "outcome", "signal")

    def __init__(self, fn: Callable[..., object], args: tuple[object, ...], unfinished: str) -> None:
        self.fn: Callable[..., object] = fn
        self.args: tuple[object, ...] = args
        self.signal: Signal = Signal()
        self.outcome: tuple[object, BaseException | None] = None, ResourceEnded(unfinished)
        """The result, or the exception."""
        self.abandoned: bool = False
        """Whether the caller was cancelled: then the function is not called any more."""

    async def run(self) -> object:
        """Call the function, and await its result if it can be awaited."""
        result = self.fn(*self.args)
        return await result if isawaitable(result) else result

    def finish(self) -> None:
        """Wake the caller."""
        self.signal.fire(self.outcome)


class Notice:
    """A hook without a client, its arguments, and the function to call after it."""

    __slots__ = ("args", "hook", "over")

    def __init__(self, hook: str, args: tuple[object, ...], over: Callable[[], None]) -> None:
        self.hook: str = hook
        self.args: tuple[object, ...] = args
        self.over: Callable[[], None] = over


class Errand:
    """Work of wsframe itself in a listener task, after all entries before it.

    Args:
        run: The work. It does not raise.
        dropped: Called if the task ends before it gets to the errand.
    """

    __slots__ = ("dropped", "run")

    def __init__(self, run: Callable[[], Awaitable[None]], dropped: Callable[[], None]) -> None:
        self.run: Callable[[], Awaitable[None]] = run
        self.dropped: Callable[[], None] = dropped


class Posts:
    """Takes the posts and calls of one life of a resource.

    Args:
        name: The resource's, for errors.
        mailbox: The mailbox they go to.
        ready: Set once the resource has started.
        over: Set once no more hooks are called.
    """

    __slots__ = ("_mailbox", "_name", "_over", "_ready", "_token", "closed", "leaving", "task")

    def __init__(self, name: str, mailbox: Mailbox[Any], ready: Happening, over: Happening) -> None:
        self._name = name
        self._mailbox = mailbox
        self._ready = ready
        self._over = over
        self._token = trio.lowlevel.current_trio_token()
        self.task: trio.lowlevel.Task | None = None
        """The listener task, in which a call would wait for itself."""
        self.closed: bool = False
        """Whether the resource has failed: then posts are refused."""
        self.leaving: bool = False
        """Whether the resource goes to another process: then posts and calls are refused."""

    @property
    def over(self) -> bool:
        """Whether no more hooks are called."""
        return self._over.happened

    def post(self, message: object) -> bool:
        """Queue a message for ``received_custom``; return whether it was queued."""
        check_thread()
        if self._mailbox.posts >= MAX_POSTS or self.closed or self.leaving or self._over.happened:
            return False
        post = Post(message)
        self._mailbox.post(post, post.byte_count)
        return True

    def post_from_thread(self, message: object) -> None:
        """Have a message queued from any thread."""

        def post() -> None:
            if not self.post(message):
                logger.error("%s refuses the post of a thread: a %s", self._name, type(message).__name__)

        self._token.run_sync_soon(post)

    def notify(self, hook: str, args: tuple[object, ...], over: Callable[[], None]) -> None:
        """Have a hook called that has no client, and then ``over``."""
        if self._over.happened:
            over()
        else:
            self._mailbox.put(None, Notice(hook, args, over))

    async def call(self, fn: Callable[..., object], args: tuple[object, ...]) -> object:
        """Have a function called in the listener task; return its result."""
        check_trio()
        if self._over.happened or self.leaving:
            raise ResourceEnded(f"{self._name} is stopping: it takes no more calls")
        if not self._ready.happened:
            raise RuntimeError(f"{self._name} is still starting, call() is for after the yield of running()")
        if trio.lowlevel.current_task() is self.task:
            raise RuntimeError("call() from the resource's own listener task would wait for itself; call the function")
        call = Call(fn, args, f"{self._name} stopped during the call")
        self._mailbox.put(None, call)
        try:
            outcome = await call.signal.wait()
        finally:
            call.abandoned = True
        assert isinstance(outcome, tuple)
        result, error = outcome
        if error is not None:
            raise error
        return result

    def refuse_all(self) -> None:
        """Drop all entries of the mailbox, and raise in the tasks that wait for calls."""
        for _, entry in self._mailbox.entries:
            if isinstance(entry, Call):
                entry.outcome = None, ResourceEnded(f"{self._name} stopped before the call")
                entry.finish()
            elif isinstance(entry, Post):
                self._mailbox.took_post(entry.byte_count)
            elif isinstance(entry, Notice):
                entry.over()
            elif isinstance(entry, Errand):
                entry.dropped()
        self._mailbox.entries.clear()
