"""One life of a resource: the task that calls its hooks, and the one that keeps it running.

The listener task takes from the mailbox and calls the hooks, one at a time. The keeper
task stands inside ``resource.running()`` with the resource's own tasks. They are apart,
so that neither a ticker that hangs nor one that crashes can take a hook with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from logging import getLogger
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from wsframe.arrival import CONNECTED
from wsframe.client import Client
from wsframe.debugger import post_mortem
from wsframe.exceptions import ResourceEnded
from wsframe.flusher import Flusher, flushing
from wsframe.limits import INHERIT, Limits, Timeouts, filled
from wsframe.mailbox import Inbox, Mailbox
from wsframe.posts import Call, Post
from wsframe.protocol.deflate import Deflate
from wsframe.protocol.events import Ended, PongReceived
from wsframe.resource import Resource

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["Listener"]

logger = getLogger("wsframe")

# One turn of a listener. 64 messages instead of 256 cost a quarter more CPU in bursts.
BATCH = 256
BATCH_SECONDS = 0.002

MAX_POSTS = 10_000


class Listener:
    """One life of a resource, in one server.

    Args:
        resource: The resource; it knows its listener while the life lasts.
        limits: The server's, for what the resource leaves at INHERIT.
        timeouts: Likewise.
        deflate: Likewise.
        flusher: Of the server's reactor.
        debug: Whether a failed hook enters the debugger or ends the server.

    Raises:
        RuntimeError: If the resource is running already, in another server.
    """

    def __init__(
        self,
        resource: Resource[Any],
        *,
        limits: Limits,
        timeouts: Timeouts,
        deflate: Deflate | None = None,
        flusher: Flusher,
        debug: bool = False,
    ) -> None:
        if resource._listener is not None:
            raise RuntimeError(f"{type(resource).__name__} {resource!r} is running in another server already")
        self.resource = resource
        self.limits = filled(resource.limits, limits)
        self.timeouts = filled(resource.timeouts, timeouts)
        self.deflate = deflate if resource.deflate == INHERIT else resource.deflate
        self.clients: dict[AnyClient, None] = {}
        self.ready = trio.Event()
        """Set once ``running()`` has been entered, or has failed."""
        self.failure: BaseException | None = None
        self.members = 0
        """Newcomers past the path check and clients whose ``disconnected`` has not run."""
        self._debug = debug
        self._flusher = flusher
        self._retired = False
        self._mailbox = Mailbox(wants_pongs=type(resource).received_pong is not Resource.received_pong)
        self._posts = 0
        self._listening: trio.lowlevel.Task | None = None
        self._hooks_done = trio.Event()
        self._goodbye_seconds = self.timeouts.close
        self._leaving = trio.CancelScope()
        self._token = trio.lowlevel.current_trio_token()
        self._nursery: trio.Nursery | None = None
        self._tasks: trio.Nursery | None = None
        self._early: list[tuple[Callable[..., Awaitable[object]], tuple[object, ...]]] = []
        resource._listener = self

    def __repr__(self) -> str:
        return f"<Listener of {type(self.resource).__name__} [clients: {len(self.clients)}]>"

    @property
    def usable(self) -> bool:
        """Whether newcomers may still join."""
        return self.failure is None and not self._hooks_done.is_set()

    # Life

    async def run(self) -> None:
        """Live until :meth:`retire` was called and the last client has gone."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._keep, name=f"keeper of {type(self.resource).__name__}")
                await self.ready.wait()
                await flushing(self._listen(self._mailbox, None), self._flusher)
        finally:
            self.resource._listener = None
            self._refuse_calls()

    def join(self) -> None:
        """Note that a newcomer is on its way to this resource."""
        self.members += 1

    def leave(self) -> None:
        """Note that a member has gone, or never came."""
        self.members -= 1
        if self._over():
            self._mailbox.doorbell.ring()

    def retire(self) -> None:
        """End this life after the last member."""
        self._retired = True
        self._mailbox.doorbell.ring()

    def hurry(self) -> None:
        """Leave no more time for the last hooks and for leaving ``running()``."""
        self._goodbye_seconds = 0.0
        self._leaving.deadline = -inf

    def _over(self) -> bool:
        return self._retired and self.members <= 0 and not self._mailbox.entries

    async def _keep(self) -> None:
        """Stand inside ``running()`` with the resource's own tasks until the hooks are done."""
        try:
            with self._leaving:
                await flushing(self._inside_running(), self._flusher)
        except Exception as error:
            started = self.ready.is_set()
            self._fail(error)
            if self._debug and started:  # a failed start is raised by whoever waits for it
                raise
        finally:
            self.ready.set()
            self._tasks = None

    async def _inside_running(self) -> None:
        async with self.resource.running(), trio.open_nursery() as tasks:
            # From here on it is left in order, after the hooks, even if the server is cut off.
            self._leaving.shield = True
            self._tasks = tasks
            for fn, args in self._early:
                tasks.start_soon(self._run_task, fn, args)
            self._early.clear()
            self.ready.set()
            await self._hooks_done.wait()
            self._leaving.deadline = min(self._leaving.deadline, trio.current_time() + self.timeouts.drain)
            tasks.cancel_scope.cancel()

    async def _run_task(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        async def steps() -> None:
            await fn(*args)

        await flushing(steps(), self._flusher)

    def _fail(self, error: Exception) -> None:
        """End this life at once, because ``running()`` or a task of the resource raised."""
        logger.error("%s stopped: running() or one of its tasks failed", type(self.resource).__name__, exc_info=error)
        self.failure = error
        for client in tuple(self.clients):
            client._link.close(1011, "internal error", mute=True)
        self.retire()

    # What the resource asks for

    def start_soon(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(self._run_task, fn, args)
        elif not self.ready.is_set():
            self._early.append((fn, args))  # from running(), before its yield
        else:
            raise RuntimeError(f"{type(self.resource).__name__} is stopping")

    def post(self, message: object) -> bool:
        if self._posts >= MAX_POSTS or self.failure is not None:
            return False
        self._posts += 1
        self._mailbox.put(None, Post(message))
        return True

    def post_from_thread(self, message: object) -> None:
        self._token.run_sync_soon(self.post, message)

    async def call(self, fn: Callable[..., object], args: tuple[object, ...]) -> object:
        if self._hooks_done.is_set():
            raise ResourceEnded(f"{type(self.resource).__name__} is stopping")
        if not self.ready.is_set():
            raise RuntimeError(f"{type(self.resource).__name__} is still starting: nobody could run the call")
        if trio.lowlevel.current_task() is self._listening:
            raise RuntimeError("call() from the resource's own listener task would wait for itself; call the function")
        call = Call(fn, args)
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

    def _refuse_calls(self) -> None:
        for _, entry in self._mailbox.entries:
            if isinstance(entry, Call):
                entry.signal.fire((None, ResourceEnded(f"{type(self.resource).__name__} stopped before the call")))
        self._mailbox.entries.clear()

    def mailbox_for_client(self) -> Mailbox:
        """Return the mailbox a new client's messages go to."""
        if self.resource.ordering == "resource" or self._nursery is None:
            return self._mailbox
        mailbox = Mailbox(wants_pongs=self._mailbox.wants_pongs)
        self._nursery.start_soon(self._serve_one, mailbox)
        return mailbox

    async def _serve_one(self, mailbox: Mailbox) -> None:
        await flushing(self._listen(mailbox, mailbox), self._flusher)

    # Hooks

    async def _listen(self, mailbox: Mailbox, own: Mailbox | None) -> None:
        """Call the hooks for what comes to a mailbox; ``own`` is that of one client, and ends with it."""
        if own is None:
            self._listening = trio.lowlevel.current_task()
        try:
            while True:
                if not mailbox.entries:
                    if self._over() if own is None else own.closed:
                        break
                    await mailbox.doorbell.wait()
                else:
                    await self._batch(mailbox)
                    if mailbox.entries:
                        await trio.lowlevel.checkpoint()
        except BaseException:
            await self._say_goodbye(mailbox)
            raise
        finally:
            if own is None:
                self._hooks_done.set()

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
