"""Calling the hooks of a resource, one at a time, for the entries of a mailbox.

How it works
------------

A listener task gives its mailbox to :meth:`HookCaller.batch`, again and again while there are
entries. A batch takes at most 256 of them or 2 ms: then the listener lets other tasks run, and
within a batch it runs through as long as the hooks do not wait. That makes a burst cheap without
letting one busy resource hold up the others.

Nearly all entries are messages, so ``batch`` calls ``received_text`` and ``received_binary``
itself, without a task, a scope or a context switch for each. Everything else goes through the
table ``EVENTS`` at the end of this module: one method per type of entry.

A hook is user code, and can do four things that must not reach the next client. It can raise:
``hook_failed`` decides about its client. It can set a ``ContextVar``: the client then keeps the
context, and the task takes a new one (``hooks/context_vars``). It can leave a nursery or a cancel
scope open: :class:`Nesting` closes it, and the hook counts as failed. It can take too long, or
become useless because its client has gone: :class:`Bounds` cancels it.

``disconnected`` is owed to each client that had ``client_connected``, once. If tasks of the client
still run, its end or its move goes back into the mailbox when the last of them is over: hooks of
other clients do not wait for that. If the listener task itself is cancelled, ``hooks/remaining_clients`` calls
``disconnected`` for all that remain, under a deadline.

Invariants
----------

1. The hooks of one mailbox never overlap: only its listener task calls ``batch``.
2. A message leaves the books (:meth:`Inbox.take`) before its hook begins, so that a hook which
   waits for long does not stop the reading of the messages after it.
3. ``clients`` holds a client from just before ``client_connected`` to just before ``disconnected``.
4. A client takes one of the ``seats`` before it gets here. Each way out calls ``leave`` exactly once.
5. Only trio.Cancelled, KeyboardInterrupt and SystemExit leave ``batch``: an error costs its client.
6. After each hook the context of the task equals ``context`` again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from wsframe.connection.counters import PathCounters
from wsframe.connection.interfaces import ClientConnected
from wsframe.connection.mailbox import Inbox, Mailbox, Move, take
from wsframe.exceptions import HookTimeout
from wsframe.hooks.context_vars import own_context, run_within
from wsframe.hooks.forced_end import abort_stopped, drop, end_failed
from wsframe.hooks.move_client import Destination, give_up, hand_over
from wsframe.hooks.posts import Call, Errand, Notice, Post
from wsframe.hooks.tasks import Bounds, TaskFailed
from wsframe.hooks.tracing import Tracing
from wsframe.http.responses import Reject
from wsframe.limits import Timeouts
from wsframe.log import Log, log_for
from wsframe.protocol.closing import ClosingEvent
from wsframe.protocol.events import Ended, PongReceived
from wsframe.resources.check_message import check_frames
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource
from wsframe.resources.topics.topics import Topics
from wsframe.user_code.errors import LEFT_OPEN, Nesting, contain, failed, nested
from wsframe.user_code.program import is_a

if TYPE_CHECKING:
    from collections import deque

    AnyClient = Client[Any]
    ClientMailbox = Mailbox[AnyClient]
    ClientInbox = Inbox[AnyClient]

__all__ = ["HookCaller"]

logger: Log = log_for(__name__)

# One turn of a listener. 64 messages instead of 256 cost a quarter more CPU in bursts.
BATCH = 256
BATCH_SECONDS = 0.002

Wrapper = Callable[[str, Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]
"""Takes the name of a hook and the hook, and returns another one that calls it."""


INERT = frozenset(
    {Resource.client_connected, Resource.received_pong, Resource.disconnected, Resource.joined, Resource.left}
)
"""Hooks that do nothing unless they are overridden."""


class HookCaller:
    """Calls the hooks of one life of a resource, and keeps its list of clients for them.

    Args:
        resource: The resource whose hooks are called.
        timeouts: Its timeouts, with no field at ``INHERIT``.
        topics: The server's, which a client leaves before ``disconnected``.
        counters: The numbers of the resource's path.
        leave: Called for each client that has gone.
        tracing: Makes a span of each call; None for no spans.
    """

    def __init__(
        self,
        resource: Resource[Any],
        timeouts: Timeouts,
        topics: Topics,
        counters: PathCounters,
        leave: Callable[[], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._resource = resource
        self._topics = topics
        self.leave: Callable[[], None] = leave
        self.clients: dict[AnyClient, None] = {}
        self.context: Context = copy_context()
        """The context of ``running()``, with the variables set there: hooks run in copies of it."""
        self.refusal: tuple[int, str] | None = None
        """The close code and reason for clients that still come, once the resource has failed or was dismissed."""
        self.counters: PathCounters = counters
        self.received_before: int = 0
        """Messages of clients whose ``disconnected`` has begun."""
        self.topic: str = ""
        """The topic that each client gets from its ``client_connected`` on; empty for none."""
        self._own_context: Context | None = None
        self._look: Wrapper | None = None
        self._wrappers: list[Wrapper] = []
        """The wrappers of each hook, the innermost first."""
        if timeouts.hook is not None or resource.cancel_on_disconnect:
            self._wrappers.append(Bounds(timeouts.hook, until_end=resource.cancel_on_disconnect).around)
        if tracing is not None:
            self._wrappers.append(partial(tracing.around, type(resource)))
        self.seconds: float = 0.0
        """Seconds in which hooks ran or waited."""
        self.disconnected_seconds: float = timeouts.close
        """The most seconds that the last hooks take when the server is cut off."""
        self.force_end: Callable[[AnyClient], object] = abort_stopped
        """Ends the connection of a client that remains then."""

    def look_first(self, wrapper: Wrapper) -> None:
        """Have each hook and call made by a wrapper, around all others."""
        self._wrappers.append(wrapper)
        self._look = wrapper

    async def batch(self, mailbox: ClientMailbox, nesting: Nesting, began: float) -> tuple[int, float]:
        """Call hooks for at most 256 messages or 2 ms from ``began``, in the task that ``nesting`` is of.

        Returns:
            The number of entries taken, and when work on the last of them began.
        """
        entries: deque[tuple[ClientInbox, object]] = mailbox.entries  # type: ignore[assignment]  # a message has one
        received_text: Callable[..., Awaitable[None]] = self._resource.received_text
        received_binary: Callable[..., Awaitable[None]] = self._resource.received_binary
        for wrapper in self._wrappers:
            received_text = wrapper("received_text", received_text)
            received_binary = wrapper("received_binary", received_binary)
        task, status = nesting.task, nesting.status
        context, base = task.context, self.context
        until, last = began + BATCH_SECONDS, began
        for count in range(BATCH):
            if not entries or (now := perf_counter()) > until:
                return count, last
            last = now
            inbox, message = entries.popleft()
            kind = type(message)
            if kind is str:
                received = received_text
            elif kind is bytes:
                received = received_binary
            else:
                await self._take_event(mailbox, inbox, message)
                continue
            client = take(inbox, message)
            if client is None:
                continue
            try:
                if client._context is None:
                    await received(client, message)
                else:
                    await run_within(client._context, received(client, message))
                if context != base:  # cheap: both hold the same table as long as no variable is set
                    context = await own_context(client, base)
                if task._cancel_status is not status:
                    raise RuntimeError(LEFT_OPEN)
            except BaseException as error:
                hook = "received_text" if kind is str else "received_binary"
                await self._hook_failed(await nesting.mend(error), hook, client)
                context = await own_context(client, base)
        return BATCH, last

    async def deliver(self, mailbox: ClientMailbox, nesting: Nesting, inbox: ClientInbox | None, entry: object) -> None:
        """Call the hook for one entry, as a batch does, in the task that ``nesting`` is of."""
        kind = type(entry)
        if inbox is None or (kind is not str and kind is not bytes):
            await self._take_event(mailbox, inbox, entry)
            return
        client = take(inbox, entry)
        if client is None:
            return
        hook = "received_text" if kind is str else "received_binary"
        try:
            steps = self._hook(hook)(client, entry)
            await (steps if client._context is None else run_within(client._context, steps))
            if nesting.task.context != self.context:
                await own_context(client, self.context)
            nesting.check()
        except BaseException as error:
            await self._hook_failed(await nesting.mend(error), hook, client)
            await own_context(client, self.context)

    async def _take_event(self, mailbox: ClientMailbox, inbox: ClientInbox | None, event: object) -> None:
        """Handle an entry that is not a message. An error of our own costs only this client its connection."""
        try:
            await EVENTS[type(event)](self, mailbox, inbox, event)
        except BaseException as error:
            contain(error)
            if inbox is None:
                logger.error("internal error in a post or call of %s", type(self._resource).__name__, exc_info=error)
            else:
                end_failed(inbox.client, error)

    # Entries of a client

    async def _connected(self, mailbox: ClientMailbox, inbox: ClientInbox, event: ClientConnected) -> None:
        client = inbox.client
        if self.refusal is not None:
            client._link.close(*self.refusal, mute=True)
            return
        client._context = None  # of another resource, before a move
        self.clients[client] = None
        if self.topic:
            self._topics.enter(client, self.topic)
        await self._run_hook("client_connected", client)

    async def _pong(self, mailbox: ClientMailbox, inbox: ClientInbox, event: PongReceived) -> None:
        if take(inbox, event) is not None:
            await self._run_hook("received_pong", inbox.client, event.payload)

    async def _task_failed(self, mailbox: ClientMailbox, inbox: ClientInbox, event: TaskFailed) -> None:
        await self._hook_failed(event.error, "start_soon", inbox.client)
        await own_context(inbox.client, self.context)
        event.over()

    async def _ended(self, mailbox: ClientMailbox, inbox: ClientInbox, event: Ended) -> None:
        if inbox.move is not None:
            inbox.divert(event)
            return
        client = inbox.client
        try:
            client._link.closing.on(ClosingEvent.HANDLED)
        except BaseException as error:  # its disconnected runs all the same, or it would stay for ever
            contain(error)
            end_failed(client, error)
        if client._tasks is not None and client._tasks.scopes:
            # Its tasks were cancelled when it ended. Hooks of others do not wait for slow ones.
            client._tasks.after = partial(mailbox.put, inbox, event)
            return
        await self.end(client)

    async def end(self, client: AnyClient) -> None:
        """Call ``disconnected`` for a client that had ``client_connected``, and take it out."""
        try:
            if client in self.clients:
                self.received_before += client._link.inbox.received
                del self.clients[client]
                self._topics.leave(client)
                await self._run_hook("disconnected", client)
        finally:
            self.leave()
            client._link.leaving.left()

    async def _moved(self, mailbox: ClientMailbox, inbox: ClientInbox, move: Move[Destination]) -> None:
        """Call ``disconnected`` for a client that goes to another resource, and hand it over."""
        client = inbox.client
        if client._tasks is not None and client._tasks.scopes:
            # Its tasks belong to this resource. Hooks of others do not wait for slow ones.
            client._tasks.after = partial(mailbox.put, inbox, move)
            client._tasks.cancel()
            return
        del self.clients[client]
        self._topics.leave(client)
        client._resource = move.host.resource
        check_frames(client)
        try:
            await self._run_hook("disconnected", client)
            hand_over(inbox, move)
        except BaseException as error:
            give_up(inbox)
            contain(error)
            logger.error("%r cannot be moved", client, exc_info=error)
        finally:
            self.leave()

    # Entries of the resource's own code

    async def _post(self, mailbox: ClientMailbox, inbox: None, post: Post) -> None:
        mailbox.took_post(post.byte_count)
        try:
            await self._within(None, nested(self._hook("received_custom"), post.message))
        except BaseException as error:
            await self._hook_failed(error, "received_custom", None)

    async def _noticed(self, mailbox: ClientMailbox, inbox: None, notice: Notice) -> None:
        try:
            if getattr(getattr(self._resource, notice.hook), "__func__", None) not in INERT:
                await self._within(None, nested(self._hook(notice.hook), *notice.args))
        except BaseException as error:
            await self._hook_failed(error, notice.hook, None)
        finally:
            notice.over()

    async def _call(self, mailbox: ClientMailbox, inbox: None, call: Call) -> None:
        if call.abandoned:
            return
        try:
            run = call.run if self._look is None else self._look("call", call.run)
            call.outcome = await self._within(None, nested(run)), None
        except BaseException as error:
            if contain(error):
                call.outcome = None, error
        finally:
            call.finish()

    async def _errand(self, mailbox: ClientMailbox, inbox: None, errand: Errand) -> None:
        await errand.run()

    # Hooks

    async def ask(self, hook: str, seconds: float, *args: object) -> object:
        """Call a hook without a client in the listener task, and return its answer.

        Raises:
            HookTimeout: If it takes longer than this many seconds.
            BaseException: The exception of the hook.
        """
        with trio.CancelScope(deadline=trio.current_time() + seconds):
            return await self._within(None, nested(self._hook(hook), *args))
        raise HookTimeout(f"{hook} took longer than {seconds:g} s")

    async def _within(self, client: AnyClient | None, steps: Awaitable[object]) -> object:
        """Run a hook in the context of its client; hooks without a client share one context."""
        context = self._own_context if client is None else client._context
        if client is None and context is None:
            context = self._own_context = self.context.copy()
        return await (steps if context is None else run_within(context, steps))

    def _hook(self, name: str) -> Callable[..., Awaitable[None]]:
        hook: Callable[..., Awaitable[None]] = getattr(self._resource, name)
        for wrapper in self._wrappers:
            hook = wrapper(name, hook)
        return hook

    async def _run_hook(self, hook: str, client: AnyClient, *args: object) -> None:
        try:
            if getattr(getattr(self._resource, hook), "__func__", None) in INERT:
                return
            answer = await self._within(client, nested(self._hook(hook), client, *args))
            if isinstance(answer, Reject):  # as accept_client can return it: ignored, it would let the client in
                raise answer
        except BaseException as error:
            await self._hook_failed(error, hook, client)
        await own_context(client, self.context)

    async def _hook_failed(self, error: BaseException, hook: str, client: AnyClient | None) -> None:
        if client is not None and hook == "client_connected" and is_a(error, Reject):
            try:
                client.reject(1008, error.body)
                return
            except BaseException as wrong:  # its body was changed: then the hook has failed
                error = wrong
        self.counters.failed(hook)
        if not failed(error):
            return
        hook_failed = self._hook("hook_failed")
        try:
            await self._within(client, nested(partial(hook_failed, hook=hook, client=client), error))
        except BaseException as second:
            if not failed(second):
                return
            logger.error("hook_failed of %s failed", type(self._resource).__name__, exc_info=second)
            if client is not None:
                drop(client)


# All types of entries but messages. The entry and its inbox have the types that the method for it takes.
EVENTS: dict[type, Callable[[HookCaller, ClientMailbox, Any, Any], Awaitable[None]]] = {
    ClientConnected: HookCaller._connected,
    PongReceived: HookCaller._pong,
    TaskFailed: HookCaller._task_failed,
    Ended: HookCaller._ended,
    Move: HookCaller._moved,
    Post: HookCaller._post,
    Call: HookCaller._call,
    Notice: HookCaller._noticed,
    Errand: HookCaller._errand,
}
