"""The machine behind a server's handle: it starts resources, accepts, and drains.

Life of a server. ``serve`` opens an outer nursery with one shielded task, and waits until
something asks for the drain. The shielded task opens, one inside the other, the nursery of
the reactor, that of the resources' lives, and while it accepts that of the newcomers:

* First the reactor starts, then the lives of all registered resources. No socket accepts
  before every ``running()`` has been entered.
* Then the entrance accepts, and ``started`` gets the handle.
* The drain goes the other way: stop accepting, close the listening sockets, refuse the
  newcomers under way, send every client its close frame, retire the lives, and end the
  reactor when it has no connection left.

Why a shield. Cancelling ``serve`` must not cut hooks off in mid-await, because a cancelled
task cannot await anything any more, not even to say goodbye. So a cancellation reaches only
the outer task, and begins the drain; the shielded task is cancelled by its own deadline,
``timeouts.drain`` seconds later, or by ``hurry``.

Invariants:

* Every way to end sets ``_draining``: ``close``, a signal, a cancellation, an error of user
  code, and the end of the shielded task itself. The first one decides the close code.
* When ``serve`` returns, every socket is closed, and every task and client is gone.
* The reactor outlives the lives: the last ``disconnected`` can still send, and the reactor
  flushes it.
* Each way out of ``serve`` raises one error, not a group of one: first the SystemExit of user
  code, then the error that ended the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, final

import trio

from wsframe.connection.reactor import Reactor
from wsframe.hooks.listener import Listener, Surroundings
from wsframe.hooks.listeners import Roster
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, filled
from wsframe.log import logger
from wsframe.net.sockets import notify_closing
from wsframe.program import Program, program
from wsframe.protocol.pool import ConnectionPool
from wsframe.resources.registry import Registry, served_with
from wsframe.resources.resource import Resource
from wsframe.resources.server import Server, ServerStatistics
from wsframe.server.admission import Admission
from wsframe.server.capacity import Places
from wsframe.server.entrance import Entrance
from wsframe.server.listen import Bound
from wsframe.server.options import ServeOptions
from wsframe.server.statistics import resource_statistics, slowest
from wsframe.server.watchdog import Watchdog
from wsframe.user_code import only_leaf

if TYPE_CHECKING:
    from wsframe.resources.client import Client

    AnyClient = Client[Any]

__all__ = ["LocalEngine", "holds_cancelled", "running_server"]

running_server: ContextVar[Server] = ContextVar("running_server")
"""The server of this task; an ``http_handler`` is made before its server, so it has to look here."""


@final
class LocalEngine:
    """The engine of a server in this process; ``server`` is its handle, which documents its public methods."""

    roster: Roster
    admission: Admission

    def __init__(
        self,
        bound: Sequence[Bound],
        registry: Registry | None,
        options: ServeOptions,
    ) -> None:
        self.server = Server(self)
        self._bound = bound
        self._options = options
        self._registries = served_with(registry)
        self._timeouts = filled(options.timeouts, DEFAULT_TIMEOUTS)
        self._close_code = 1001
        self._started = False
        self._draining = trio.Event()
        self._ended = trio.Event()
        self._shield = trio.CancelScope(shield=True)
        self._pool: ConnectionPool[int] = ConnectionPool()
        self.places = Places(options.capacity)
        self.reactor = Reactor(self._pool, options.poller, options.capacity.max_queued_bytes)
        self._around = Surroundings(
            server=self.server,
            limits=filled(options.limits, DEFAULT_LIMITS),
            timeouts=self._timeouts,
            deflate=options.deflate,
            flusher=self.reactor.flusher,
        )
        self._program = Program(debug=options.debug, drain=self.drain, cut_off=self._shield.cancel)
        self.addresses = tuple(one.address for one in bound)

    @property
    def clients(self) -> int:
        """The number of connections."""
        return len(self._pool)

    @property
    def draining(self) -> bool:
        """Whether the server accepts nobody any more."""
        return self._draining.is_set()

    def drain(self, code: int = 1001) -> None:
        if not self._draining.is_set():
            self._close_code = code
            self._shield.deadline = min(self._shield.deadline, trio.current_time() + self._timeouts.drain)
            self._draining.set()

    def hurry(self) -> None:
        self.drain()
        self._shield.deadline = -inf
        if hasattr(self, "roster"):
            self.roster.hurry()

    async def closed(self) -> None:
        await self._ended.wait()

    def statistics(self) -> ServerStatistics:
        by_resource = resource_statistics(self.roster, self._registries)
        return ServerStatistics(
            clients=len(self._pool),
            reserved=self.places.reserved,
            pending_handshakes=len(self.admission.pending),
            admitted=self.admission.admitted,
            refused=self.admission.refused,
            resources=len(self.roster),
            messages_received=self.roster.received_before + sum(one.messages_received for one in by_resource),
            octets_received=self.reactor.octets_received,
            octets_sent=self.reactor.octets_sent,
            octets_waiting=self.reactor.budget.held,
            by_resource=by_resource,
        )

    def unready(self) -> str:
        if self._draining.is_set():
            return "server stopping"
        if self.places.full:
            return "server full"
        return "resource not running" if self.roster.any_pausing() else ""

    def slowest_clients(self, count: int) -> list[AnyClient]:
        return list(slowest(self.reactor.links.values(), count))

    def list_clients(self) -> list[AnyClient]:
        return [client for listener in self.roster.listeners() for client in listener.clients]

    def find(self, path: str) -> Resource[Any] | None:
        return self.roster.resource_at(path)

    async def serve(self, task_status: trio.TaskStatus[Server]) -> None:
        """Serve until closed or cancelled; every socket, task and client is gone when it returns."""
        failure: list[BaseException] = []

        async def work() -> None:
            running_server.set(self.server)  # of this task and those it starts
            program.set(self._program)
            try:
                with Watchdog(), self._shield:
                    await self._work(task_status)
            except BaseException as error:
                if holds_cancelled(error):
                    raise
                failure.append(error)
            finally:
                self._draining.set()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work, name="wsframe server")
                try:
                    await self._draining.wait()
                finally:
                    self.drain()
        finally:
            self._ended.set()
            logger.tell_left_out()
        if self._program.error is not None:
            raise self._program.error
        if failure:
            raise only_leaf(failure[0])
        if not self._started:
            task_status.started(self.server)  # it was closed while it started, which is not an error

    async def _work(self, task_status: trio.TaskStatus[Server]) -> None:
        async with trio.open_nursery() as workings:
            await workings.start(self.reactor.run)
            async with trio.open_nursery() as lives:
                self.roster = Roster(self._registries, partial(Listener, around=self._around), lives)
                self.roster.watch()
                try:
                    self.admission = Admission(self.roster, self.reactor, self.places, self._options)
                    async with trio.open_nursery() as starting:
                        starting.start_soon(self._cancel_when_draining, starting.cancel_scope)
                        await self.roster.all_ready()
                        starting.cancel_scope.cancel()
                    if self._draining.is_set():
                        self.roster.give_up_starting()
                    else:
                        await self._accept_until_draining(task_status)
                    # Again, for newcomers that had their 101 already.
                    self.reactor.close_all(self._close_code, "server stopping")
                finally:
                    self.roster.retire_all()
            await self.reactor.until_empty()
            workings.cancel_scope.cancel()

    async def _cancel_when_draining(self, scope: trio.CancelScope) -> None:
        await self._draining.wait()
        scope.cancel()

    async def _accept_until_draining(self, task_status: trio.TaskStatus[Server]) -> None:
        async with trio.open_nursery() as newcomers:
            entrance = Entrance(self.admission, newcomers, self._timeouts.handshake)
            async with trio.open_nursery() as accepting:
                entrance.open(self._bound, accepting)
                logger.info("serving at %s", ", ".join(self.addresses))
                task_status.started(self.server)
                self._started = True
                await self._draining.wait()
                accepting.cancel_scope.cancel()
            self._close_sockets()
            self.admission.drain()
            self.reactor.close_all(self._close_code, "server stopping")

    def _close_sockets(self) -> None:
        for one in self._bound:
            notify_closing(one.sock)
            one.sock.close()


def holds_cancelled(error: BaseException) -> bool:
    """Return whether an error is a cancellation, or a group with one: it must reach the scope it is for."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)
