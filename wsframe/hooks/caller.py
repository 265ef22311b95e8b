"""Calling a resource's hooks, one at a time, for what its mailbox holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import trio

from wsframe.connection.handover import CONNECTED
from wsframe.connection.mailbox import Inbox, Mailbox
from wsframe.exceptions import ResourceEnded
from wsframe.hooks.contexts import own_context, run_within
from wsframe.hooks.move_client import Move, call_off, divert
from wsframe.hooks.posts import Call, Post
from wsframe.hooks.tasks import Bounds, TaskFailed, log_task
from wsframe.http.responses import Reject
from wsframe.limits import Timeouts
from wsframe.log import logger
from wsframe.protocol.events import Ended, PongReceived
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource
from wsframe.user_code import LEFT_OPEN, Nesting, contain, failed, nested

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["HookCaller"]

# One turn of a listener. 64 messages instead of 256 cost a quarter more CPU in bursts.
BATCH = 256
BATCH_SECONDS = 0.002

DISMISSED = "no longer served"


class Life(Protocol):
    """One life of a resource, as far as the calling of its hooks needs it."""

    resource: Resource[Any]
    timeouts: Timeouts
    clients: dict[AnyClient, None]
    context: Context
    failure: BaseException | None
    dismissed: bool
    received_before: int

    def leave(self) -> None: ...


class HookCaller:
    """Calls the hooks of one life of a resource, and keeps its list of clients for them.

    Args:
        life: Whose hooks. Its timeouts have no field at ``INHERIT``.
    """

    def __init__(self, life: Life) -> None:
        self._life = life
        self._resource = life.resource
        self._clients = life.clients
        self._own_context: Context | None = None
        self._bounds: Bounds | None = None
        if life.timeouts.hook is not None or life.resource.cancel_on_disconnect:
            self._bounds = Bounds(life.timeouts.hook, until_end=life.resource.cancel_on_disconnect)
        self.goodbye_seconds = life.timeouts.close
        """How long the last hooks may take when the server is cut off."""

    async def batch(self, mailbox: Mailbox[AnyClient], nesting: Nesting) -> None:
        """Call hooks for at most 256 messages or 2 ms, in the task that ``nesting`` is of."""
        entries = mailbox.entries
        received_text: Callable[..., Awaitable[None]] = self._resource.received_text
        received_binary: Callable[..., Awaitable[None]] = self._resource.received_binary
        if self._bounds is not None:
            received_text = self._bounds.around("received_text", received_text)
            received_binary = self._bounds.around("received_binary", received_binary)
        task, status = nesting.task, nesting.status
        context, base = task.context, self._life.context
        until = perf_counter() + BATCH_SECONDS
        for _ in range(BATCH):
            if not entries or perf_counter() > until:
                return
            inbox, message = entries.popleft()
            kind = type(message)
            if inbox is None or (kind is not str and kind is not bytes):
                try:
                    await self._take_event(mailbox, inbox, message)
                except BaseException as error:
                    self._crashed(error, inbox)
                continue
            if inbox.mailbox is not mailbox:
                divert(inbox, message)
                continue
            waiting = inbox.waiting = inbox.waiting - 1
            if not waiting:
                inbox.took_last()
            if inbox.muted:
                continue
            client = inbox.client
            try:
                if client._context is not None:
                    hook_of_kind = received_text if kind is str else received_binary
                    await run_within(client._context, hook_of_kind(client, message))
                elif kind is str:
                    await received_text(client, message)
                else:
                    await received_binary(client, message)
                if context != base:  # cheap: both hold the same table as long as no variable is set
                    context = await own_context(client, base)
                if task._cancel_status is not status:
                    raise RuntimeError(LEFT_OPEN)
            except BaseException as error:
                hook = "received_text" if kind is str else "received_binary"
                await self._hook_failed(await nesting.mend(error), hook, client)
                context = await own_context(client, base)

    async def _take_event(self, mailbox: Mailbox[AnyClient], inbox: Inbox[AnyClient] | None, event: object) -> None:
        """Handle what is not a message."""
        if inbox is None:
            await self._take_post(mailbox, event)
            return
        client = inbox.client
        if isinstance(event, TaskFailed):
            await self._hook_failed(event.error, "start_soon", client)
            await own_context(client, self._life.context)
            event.over()
        elif isinstance(event, Move):
            await self._moved(mailbox, inbox, event)
        elif inbox.mailbox is not mailbox:
            divert(inbox, event)
        elif event is CONNECTED:
            await self._connected(client)
        elif isinstance(event, Ended):
            try:
                client._link.closing.handled()
            except BaseException as error:  # its disconnected runs all the same, or it would stay for ever
                self._crashed(error, inbox)
            if client._work is not None and client._work.scopes:
                # Its tasks were cancelled when it ended. Nobody waits here for those that take their time.
                client._work.after = partial(mailbox.put, inbox, event)
                return
            await self._disconnected(client)
            mailbox.closed = True
        elif isinstance(event, PongReceived):
            inbox.waiting -= 1
            if not inbox.waiting:
                inbox.took_last()
            if not inbox.muted:
                await self._run_hook("received_pong", client, event.payload)

    async def _connected(self, client: AnyClient) -> None:
        if self._life.failure is not None:
            client._link.close(1011, "internal error", mute=True)
            return
        if self._life.dismissed:
            client._link.close(1001, DISMISSED, mute=True)
            return
        client._context = None  # of another resource, before a move
        self._clients[client] = None
        await self._run_hook("client_connected", client)

    async def _disconnected(self, client: AnyClient) -> None:
        try:
            if client in self._clients:
                self._life.received_before += client.statistics().messages_received
                del self._clients[client]
                await self._run_hook("disconnected", client)
        finally:
            client._link.closing.left()
            self._life.leave()

    async def _moved(self, mailbox: Mailbox[AnyClient], inbox: Inbox[AnyClient], move: Move) -> None:
        """Say goodbye to a client that goes to another resource, and hand it over."""
        client = inbox.client
        if client._work is not None and client._work.scopes:
            # Its tasks are this resource's. Nobody waits here for those that take their time.
            client._work.after = partial(mailbox.put, inbox, move)
            client._work.cancel()
            return
        del self._clients[client]
        client._resource = move.host.resource
        client._link.ask(move.host.check_for(client))
        try:
            await self._run_hook("disconnected", client)
            move.hand_over(inbox)
        except BaseException as error:
            move.give_up(inbox)
            contain(error)
            logger.error("%r cannot be moved", client, exc_info=error)
        finally:
            self._life.leave()
            mailbox.closed = True

    async def _within(self, client: AnyClient | None, steps: Awaitable[object]) -> object:
        """Run a hook in the context of its client; what concerns no client has one together."""
        context = self._own_context if client is None else client._context
        if client is None and context is None:
            context = self._own_context = self._life.context.copy()
        return await (steps if context is None else run_within(context, steps))

    def _hook(self, name: str) -> Callable[..., Awaitable[None]]:
        hook: Callable[..., Awaitable[None]] = getattr(self._resource, name)
        return hook if self._bounds is None else self._bounds.around(name, hook)

    async def _run_hook(self, hook: str, client: AnyClient, *args: object) -> None:
        try:
            answer = await self._within(client, nested(self._hook(hook), client, *args))
            if isinstance(answer, Reject):  # as accept_client may return it: let in, it would fail open
                raise answer
        except BaseException as error:
            await self._hook_failed(error, hook, client)
        await own_context(client, self._life.context)

    async def _take_post(self, mailbox: Mailbox[AnyClient], entry: object) -> None:
        if isinstance(entry, Post):
            mailbox.took_post()
            try:
                await self._within(None, nested(self._hook("received_custom"), entry.message))
            except BaseException as error:
                await self._hook_failed(error, "received_custom", None)
        elif isinstance(entry, Call) and not entry.abandoned:
            await self._run_call(entry)

    async def _run_call(self, call: Call) -> None:
        async def run() -> object:
            result = call.fn(*call.args)
            return await result if isawaitable(result) else result

        outcome: tuple[object, BaseException | None]
        outcome = None, ResourceEnded(f"{type(self._resource).__name__} stopped during the call")
        try:
            outcome = await self._within(None, nested(run)), None
        except BaseException as error:
            if contain(error):
                outcome = None, error
        finally:
            call.signal.fire(outcome)

    async def _hook_failed(self, error: BaseException, hook: str, client: AnyClient | None) -> None:
        if client is not None and hook == "client_connected" and isinstance(error, Reject):
            client.reject(1008, error.body)
            return
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
                client._drop(1011)

    def _crashed(self, error: BaseException, inbox: Inbox[AnyClient] | None) -> None:
        """Give up a client on whose events our own code failed; no other is concerned."""
        contain(error)
        if inbox is None:
            logger.error("a post of %s cannot be taken", type(self._resource).__name__, exc_info=error)
        else:
            inbox.client._link.crashed(error)

    async def say_goodbye(self, mailbox: Mailbox[AnyClient]) -> None:
        """Give each client the ``disconnected`` it is owed, though this task is being cancelled."""
        deadline = trio.current_time() + self.goodbye_seconds
        served = [client for client in self._clients if client._link.inbox.mailbox.fed_by(mailbox)]
        for client in served:
            client._link.abort("server stopped", mute=True)
            with trio.CancelScope(shield=True, deadline=deadline):
                try:
                    await self._disconnected(client)
                except BaseException as error:  # the others are owed theirs all the same
                    contain(error)
                    client._link.crashed(error)
            call_off(client._link.inbox)
        # Newcomers whose client_connected never ran are owed nothing but their place.
        for inbox, event in tuple(mailbox.entries):  # an end may be added
            if inbox is not None and event is CONNECTED:
                inbox.client._link.abort("server stopped", mute=True)
                inbox.client._link.closing.left()
                self._life.leave()
            elif inbox is not None and isinstance(event, TaskFailed):
                log_task(inbox.client, event.error)
            if inbox is not None and inbox.octets:
                inbox.paused = False
                inbox.took_last()
