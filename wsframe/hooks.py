"""Calling a resource's hooks, one at a time, for what its mailbox holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import isawaitable
from logging import getLogger
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from wsframe.arrival import CONNECTED
from wsframe.client import Client
from wsframe.debugger import post_mortem
from wsframe.exceptions import ResourceEnded
from wsframe.limits import Timeouts
from wsframe.mailbox import Inbox, Mailbox
from wsframe.posts import Call, Post
from wsframe.protocol.events import Ended, PongReceived
from wsframe.resource import Resource

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["HookCaller"]

logger = getLogger("wsframe")

# One turn of a listener. 64 messages instead of 256 cost a quarter more CPU in bursts.
BATCH = 256
BATCH_SECONDS = 0.002


class HookCaller(ABC):
    """The half of a listener that calls hooks, and keeps the list of clients for them.

    Args:
        resource: Whose hooks.
        timeouts: The resource's; no field may be at ``INHERIT``.
        debug: Whether a failed hook enters the debugger or ends the server.
    """

    def __init__(self, resource: Resource[Any], timeouts: Timeouts, *, debug: bool) -> None:
        self.resource = resource
        self.timeouts = timeouts
        self.clients: dict[AnyClient, None] = {}
        self.failure: BaseException | None = None
        """Why ``running()`` or a task of the resource ended before its time."""
        self._debug = debug
        self._posts = 0
        self._goodbye_seconds = timeouts.close

    @abstractmethod
    def leave(self) -> None:
        """Note that a member has gone, or never came."""

    async def _batch(self, mailbox: Mailbox) -> None:
        """Call hooks for at most 256 messages or 2 ms."""
        entries = mailbox.entries
        received_text, received_binary = self.resource.received_text, self.resource.received_binary
        until = perf_counter() + BATCH_SECONDS
        for _ in range(BATCH):
            if not entries or perf_counter() > until:
                return
            inbox, message = entries.popleft()
            kind = type(message)
            if inbox is None or (kind is not str and kind is not bytes):
                await self._take_event(mailbox, inbox, message)
                continue
            waiting = inbox.waiting = inbox.waiting - 1
            if not waiting:
                inbox.took_last()
            if inbox.muted:
                continue
            client = inbox.client
            try:
                if kind is str:
                    await received_text(client, message)  # type: ignore[arg-type]
                else:
                    await received_binary(client, message)  # type: ignore[arg-type]
            except Exception as error:
                await self._hook_failed(error, f"received_{'text' if kind is str else 'binary'}", client)

    async def _take_event(self, mailbox: Mailbox, inbox: Inbox | None, event: object) -> None:
        """Handle what is not a message."""
        if inbox is None:
            await self._take_post(event)
            return
        client = inbox.client
        if event is CONNECTED:
            await self._connected(client)
        elif isinstance(event, Ended):
            client._link.answer(event)
            await self._disconnected(client)
            mailbox.closed = True
        elif isinstance(event, PongReceived):
            inbox.waiting -= 1
            if not inbox.waiting:
                inbox.took_last()
            if not inbox.muted:
                await self._run_hook("received_pong", client, event.payload)

    async def _connected(self, client: AnyClient) -> None:
        if self.failure is not None:
            client._link.close(1011, "internal error", mute=True)
            return
        self.clients[client] = None
        await self._run_hook("client_connected", client)

    async def _disconnected(self, client: AnyClient) -> None:
        try:
            if client in self.clients:
                del self.clients[client]
                await self._run_hook("disconnected", client)
        finally:
            client._link.left()
            self.leave()

    async def _run_hook(self, hook: str, client: AnyClient, *args: object) -> None:
        try:
            await getattr(self.resource, hook)(client, *args)
        except Exception as error:
            await self._hook_failed(error, hook, client)

    async def _take_post(self, entry: object) -> None:
        if isinstance(entry, Post):
            self._posts -= 1
            try:
                await self.resource.received_custom(entry.message)
            except Exception as error:
                await self._hook_failed(error, "received_custom", None)
        elif isinstance(entry, Call) and not entry.abandoned:
            await self._run_call(entry)

    async def _run_call(self, call: Call) -> None:
        try:
            result = call.fn(*call.args)
            if isawaitable(result):
                result = await result
        except Exception as error:
            call.signal.fire((None, error))
        except BaseException:
            call.signal.fire((None, ResourceEnded(f"{type(self.resource).__name__} stopped during the call")))
            raise
        else:
            call.signal.fire((result, None))

    async def _hook_failed(self, error: Exception, hook: str, client: AnyClient | None) -> None:
        if self._debug:
            post_mortem(error)
        try:
            await self.resource.hook_failed(error, hook=hook, client=client)
        except Exception:
            logger.exception("hook_failed of %s failed", type(self.resource).__name__)
            if client is not None:
                client._link.close(1011, "internal error", mute=True)

    async def _say_goodbye(self, mailbox: Mailbox) -> None:
        """Give each client the ``disconnected`` it is owed, though this task is being cancelled."""
        deadline = trio.current_time() + self._goodbye_seconds
        served = [client for client in self.clients if client._link.serves(mailbox)]
        for client in served:
            client._link.abort("server stopped", mute=True)
            with trio.CancelScope(shield=True, deadline=deadline):
                await self._disconnected(client)
        # Newcomers whose client_connected never ran are owed nothing but their place.
        for inbox, event in tuple(mailbox.entries):  # an end may be added
            if inbox is not None and event is CONNECTED:
                inbox.client._link.abort("server stopped", mute=True)
                inbox.client._link.left()
                self.leave()
            if inbox is not None and inbox.octets:
                inbox.paused = False
                inbox.took_last()
