"""One life of a resource: the task that calls its hooks, and the one that keeps it running.

The listener task takes entries from the mailbox and calls the hooks, one at a time. The keeper
task waits inside ``resource.running()`` with the resource's own tasks. They are two tasks so that
a ticker that hangs or crashes cannot stop a hook.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from wsframe.connection.counters import PathCounters
from wsframe.connection.flusher import Flusher, flushing
from wsframe.connection.interfaces import CONNECTED, Arrival, ClientLink
from wsframe.connection.lead import Lead
from wsframe.connection.mailbox import Inbox, Mailbox
from wsframe.doorbell import Happening
from wsframe.hooks.caller import HookCaller
from wsframe.hooks.client_ordering import ClientOrdering
from wsframe.hooks.context_vars import take_context
from wsframe.hooks.hand_over_steps import HandOverSteps
from wsframe.hooks.move_client import Departures
from wsframe.hooks.ownership_guard import OwnershipGuard
from wsframe.hooks.posts import Posts
from wsframe.hooks.remaining_clients import disconnect_remaining
from wsframe.hooks.seats import Seats
from wsframe.hooks.stopwatch import Stopwatch, Turn
from wsframe.hooks.tasks import TaskFunction, Tasks
from wsframe.hooks.tracing import Tracing
from wsframe.limits import INHERIT, Limits, Overflow, Timeouts, filled
from wsframe.log import Log, log_for
from wsframe.protocol.deflate import Deflate
from wsframe.protocol.encoder import Encoder
from wsframe.resources.check_hooks import check_made_by_running
from wsframe.resources.check_message import check_frames
from wsframe.resources.client import Client
from wsframe.resources.ownership import Ownership
from wsframe.resources.resource import Resource
from wsframe.resources.topics.topics import Topics
from wsframe.user_code.errors import Nesting, contain, failed
from wsframe.user_code.protected_nursery import ProtectedNursery

if TYPE_CHECKING:
    from wsframe.resources.server import Server

    AnyClient = Client[Any]

__all__ = ["Listener", "Surroundings"]

logger: Log = log_for(__name__)

PATIENCE = 2.0
"""Seconds in which other servers learn that a resource hears their broadcasts; without them it begins all the same."""
DISMISSED = 1001, "no longer served"


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """The things that a server gives to each of its listeners.

    Args:
        server: The server.
        limits: The server's, for fields that a resource leaves at INHERIT. They have no field at INHERIT.
        timeouts: The server's, in the same way.
        deflate: The server's, in the same way.
        flusher: The flusher of the server's reactor.
        lead: The lead of the same reactor; None if listeners do not read in its place.
        topics: The subscriptions of its clients.
        tracing: Makes spans of connections and hooks; None for no spans.
    """

    server: Server
    limits: Limits
    timeouts: Timeouts
    deflate: Deflate | None = None
    flusher: Flusher
    lead: Lead | None = None
    topics: Topics = field(default_factory=Topics)
    tracing: Tracing | None = None


class Listener:
    """One life of a resource, in one server.

    Args:
        resource: The resource; it knows its listener while the life lasts.
        counters: The numbers of its path.
        around: The things its server gives it.

    Raises:
        RuntimeError: If the resource is running already, in another server.
    """

    __slots__ = (
        "_around", "_hooks", "_hooks_done", "_leaving", "_mailbox", "_posts", "_retired", "call", "clients",
        "counters", "deflate", "departures", "dismissed", "ended", "failure", "hand_over_steps", "join", "limits",
        "move", "notify", "ownership_guard", "partition", "place", "post", "post_from_thread", "predecessor", "ready",
        "resource", "seats", "server", "start_for", "start_soon", "tasks", "timeouts", "topic", "topics", "tuning",
        "turns",
    )  # fmt: skip

    def __init__(self, resource: Resource[Any], counters: PathCounters, around: Surroundings) -> None:
        if resource._listener is not None:
            raise RuntimeError(
                f"{type(resource).__name__} {resource!r} is running in another server already; "
                "if it is a global one, this server needs a Registry(alone=True)"
            )
        self.resource: Resource[Any] = resource
        self.place: int = id(resource)
        """The number under which its clients are counted; one object for all of them."""
        self.server: Server = around.server
        self.topics: Topics = around.topics
        self.timeouts: Timeouts = filled(resource.timeouts, around.timeouts)
        self.limits: Limits = filled(resource.limits, around.limits)
        self.tuning: tuple[int, float] = self.limits.unsent_in_kernel, self.timeouts.write_stall  # as tune() takes it
        self.deflate: Deflate | None = around.deflate if resource.deflate == INHERIT else resource.deflate
        self.failure: BaseException | None = None
        """Why ``running()`` or a task of the resource ended before its time."""
        self.ready: Happening = Happening()
        """Set once ``running()`` has been entered, or has failed."""
        self.dismissed: bool = False
        """Whether clients that still come are closed, because the path was unregistered."""
        self.ended: Happening = Happening()
        """Set once the life is over and ``running()`` has been left."""
        self.predecessor: Listener | None = None
        """A life of the same place that ends before this one begins."""
        self.partition: int = 0
        """The partition of its path; the roster sets it."""
        self.topic: str = ""
        """The topic of its broadcasts, if clients of other workers get them too; the roster sets it."""
        self.counters: PathCounters = counters
        self._hooks = HookCaller(resource, self.timeouts, around.topics, self.counters, self.leave, around.tracing)
        self.clients: dict[AnyClient, None] = self._hooks.clients
        self._around = around
        self._retired = False
        self._mailbox: Mailbox[AnyClient] = Mailbox(around.flusher.budget)
        self._hooks_done = Happening()
        self._leaving = trio.CancelScope()
        self._offer()
        object.__setattr__(resource, "_listener", self)  # also of a frozen dataclass

    def __repr__(self) -> str:
        return f"<Listener of {type(self.resource).__name__} [clients: {len(self.clients)}]>"

    def _offer(self) -> None:
        """Make the pieces that act for the resource and its clients, and offer their methods as its own."""
        name = type(self.resource).__name__
        self.seats: Seats = Seats()
        self.join: Callable[[], None] = self.seats.take
        """Counts a new client that is on its way to this resource."""
        self.turns: set[Turn] = set()
        """One for each task that calls hooks."""
        self.departures: Departures = Departures(self.clients)
        self.move: Callable[[AnyClient, Resource[Any] | str], bool] = self.departures.move
        self.tasks: Tasks = Tasks(name, self.clients, self._around.flusher)
        self.start_soon: Callable[[TaskFunction, tuple[object, ...]], None] = self.tasks.start_soon
        self.start_for: Callable[[AnyClient, TaskFunction, tuple[object, ...]], bool] = self.tasks.start_for
        self._posts = Posts(name, self._mailbox, self.ready, self._hooks_done)
        self.post: Callable[[object], bool] = self._posts.post
        self.post_from_thread: Callable[[object], None] = self._posts.post_from_thread
        self.call: Callable[[Callable[..., object], tuple[object, ...]], Coroutine[Any, Any, object]] = self._posts.call
        self.notify: Callable[[str, tuple[object, ...], Callable[[], None]], None] = self._posts.notify
        self.hand_over_steps: HandOverSteps = HandOverSteps(self._mailbox, self._hooks, self._posts)
        self.ownership_guard: OwnershipGuard = OwnershipGuard(
            self._hooks, self.tasks, self.hand_over_steps, self._leaving
        )

    @property
    def ownership(self) -> Ownership:
        """The right by which the life acts."""
        return self.ownership_guard.ownership

    @property
    def received_before(self) -> int:
        """Messages of clients whose ``disconnected`` has begun."""
        return self._hooks.received_before

    @property
    def hook_seconds(self) -> float:
        """Seconds in which hooks ran or waited, measured per batch and not per message."""
        return self._hooks.seconds

    @property
    def usable(self) -> bool:
        """Whether new clients can still join."""
        over = self._hooks_done.happened or self.ownership_guard.over
        return self.failure is None and not (over or self.dismissed or self.hand_over_steps.leaves)

    @property
    def open(self) -> bool:
        """Whether new clients can join without a wait."""
        return self.ready.happened and self.usable

    @property
    def over(self) -> bool:
        """Whether no more hooks will be called."""
        return self._hooks_done.happened

    # Life

    async def run(self) -> None:
        """Live until :meth:`retire` was called and the last client has gone."""
        try:
            async with ProtectedNursery() as nursery:
                self.ownership_guard.enter(nursery.scope)
                nursery.start_soon(self._keep, name=f"keeper of {type(self.resource).__name__}")
                await flushing(self._listen(), self._around.flusher)
        finally:
            object.__setattr__(self.resource, "_listener", None)
            self.topics.interest.unhear(self.topic)
            self._posts.refuse_all()

    def leave(self) -> None:
        """Free one seat: its client has gone or never came."""
        self.seats.free()
        if self._retired and self._may_end():
            self._mailbox.doorbell.ring()

    def retire(self) -> None:
        """End this life when its last seat is free."""
        self._retired = True
        self._mailbox.doorbell.ring()

    def dismiss(self) -> None:
        """Close every client, also those that still come, and end this life."""
        self.dismissed = True
        self._hooks.refusal = self._hooks.refusal or DISMISSED
        for client in tuple(self.clients):
            client._link.close(*DISMISSED)
        self.retire()

    def hurry(self) -> None:
        """End the time that the last hooks and leaving ``running()`` have."""
        self._hooks.disconnected_seconds = 0.0
        self._leaving.deadline = -inf

    def _may_end(self) -> bool:
        return self._retired and self.seats.count <= 0 and not self._mailbox.entries

    async def _keep(self) -> None:
        """Stand inside ``running()`` with the resource's own tasks until the hooks are done."""
        try:
            with self._leaving:
                if self.predecessor is not None:
                    await self.predecessor.ended.wait()
                    self.predecessor = None
                if self.topic:
                    self._hooks.topic = self.topic
                    with trio.move_on_after(PATIENCE):
                        await self.topics.interest.hear(self.topic).wait()
                await self.ownership_guard.look()
                await flushing(self._inside_running(), self._around.flusher)
                if not self._hooks_done.happened:
                    raise RuntimeError("running() ended before its resource: did it swallow an exception of a task?")
        except BaseException as error:
            started = self.ready.happened
            if failed(error) if started else contain(error):  # the task that waits for the start raises its failure
                self._fail(error)
            else:
                self._give_up(error)
        finally:
            self.tasks.close()
            self.ready.set()
            self.hand_over_steps.tasks_ended.set()

    async def _inside_running(self) -> None:
        async with check_made_by_running(type(self.resource), self.resource.running()):
            with self.ownership_guard.inside:
                try:
                    async with ProtectedNursery() as nursery:
                        # From here on running() is left after the hooks, in order, even if the server is cancelled.
                        self._leaving.shield = True
                        self._hooks.context = copy_context()
                        self.tasks.open(nursery)
                        self.ready.set()
                        await self.hand_over_steps.no_more_tasks.wait()
                        nursery.cancel()
                finally:
                    self.tasks.close()
                # Else a task raised a Cancelled, which the nursery swallowed.
                if self.hand_over_steps.no_more_tasks.happened:
                    self.hand_over_steps.tasks_ended.set()
                    await self._hooks_done.wait()

    def _fail(self, error: BaseException) -> None:
        """End this life immediately, because ``running()`` or a task of the resource raised."""
        logger.error("%s stopped: running() or one of its tasks failed", type(self.resource).__name__, exc_info=error)
        self._give_up(error)
        for client in tuple(self.clients):
            client._drop(1011)

    def _give_up(self, error: BaseException) -> None:
        self.failure = error
        self._posts.closed = True
        self._hooks.refusal = 1011, "internal error"
        self.retire()

    # Clients

    @property
    def overflow(self) -> Overflow:
        return self.resource.overflow

    def make_client(self, link: ClientLink, arrival: Arrival, encoder: Encoder | None) -> AnyClient:
        """Make the client of a new link, which asks the resource about the client's frames from now on."""
        client = Client(link, link.outbox, arrival.request, self.resource, arrival.subprotocol, arrival.data, encoder)
        check_frames(client)
        return client

    def mailbox_for_client(self) -> Mailbox[AnyClient]:
        """Return the mailbox for the messages of a new client."""
        self._mailbox.wants_pongs = type(self.resource).received_pong is not Resource.received_pong  # it can be new
        return self._mailbox

    def welcome(self, inbox: Inbox[AnyClient], *, known: bool = False) -> None:
        """Begin to call the hooks for a client, which has no entry in its mailbox yet.

        One that is known comes from another process, and has had its ``client_connected`` there.
        """
        self.seats.empty_since = inf
        if known:
            self.clients[inbox.client] = None
        else:
            inbox.mailbox.put(inbox, CONNECTED)

    # Hooks

    async def _listen(self) -> None:
        """Call the hooks for the entries of the mailbox until the life can end."""
        bell = self._mailbox.doorbell
        together = self.resource.ordering == "client"
        try:
            await self.ready.wait()
            bell.lead = self._around.lead
            if together:
                flusher, over = self._around.flusher, self._hooks_done
                await ClientOrdering(
                    self._hooks, self._mailbox, self._posts, flusher, self.turns, self._may_end, over
                ).run()
            else:
                await self._call_in_order()
        except BaseException:
            bell.quit()
            await disconnect_remaining(self._hooks, self._mailbox, together=together)
            raise
        finally:
            bell.quit()
            if self.ready.happened:
                self._leaving.deadline = min(self._leaving.deadline, trio.current_time() + self.timeouts.drain)
            self._hooks_done.set()
            self.hand_over_steps.no_more_tasks.set()

    async def _call_in_order(self) -> None:
        """Call one hook after the other, in this task."""
        mailbox, hooks = self._mailbox, self._hooks
        bell = mailbox.doorbell
        turn = Turn(trio.lowlevel.current_task())
        self._posts.task = turn.task
        self.turns.add(turn)
        try:
            await take_context(hooks.context)
            nesting, stopwatch = Nesting(), Stopwatch(self.counters, mailbox)
            while True:
                bell.rung = False  # entries and flags are looked at now
                if not mailbox.entries:
                    if self._retired and self._may_end():
                        break
                    await bell.wait()
                else:
                    rung_at = bell.rung_at
                    began = turn.since = perf_counter()
                    count, last = await hooks.batch(mailbox, nesting, began)
                    turn.since = 0.0
                    ended = perf_counter()
                    hooks.seconds += ended - began
                    stopwatch.note(rung_at, began, last, ended, count)
                    if mailbox.entries:
                        await trio.lowlevel.checkpoint()
        finally:
            self.turns.discard(turn)
