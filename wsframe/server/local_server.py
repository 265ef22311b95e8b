"""A server of this process, which users hold by its handle: it starts resources, accepts, and drains.

Life of a server. ``serve`` opens an outer nursery with one shielded task, and waits until
something asks for the drain. The shielded task opens, one inside the other, the nursery of
the reactor, that of the resources' lives, and while it accepts that of the newcomers:

* First the reactor starts, then the lives of all registered resources. No socket accepts
  before every ``running()`` has been entered.
* Then the entrance accepts, and ``started`` gets the handle.
* The drain goes the other way: stop accepting, close the listening sockets, let the
  newcomers under way finish, send every client its close frame, retire the lives, and end the
  reactor with its last connection. ``drain`` has its times, ``departure`` the order of leaving.

Why a shield. Cancelling ``serve`` must not cut hooks off in mid-await, because a cancelled
task cannot await anything any more, not even to say goodbye. So a cancellation reaches only
the outer task, and begins the drain; the shielded task is cancelled by its own deadline,
``timeouts.drain`` seconds later, or by ``hurry``.

Invariants:

* Every way to end gives the order to drain: ``close``, a signal, a cancellation, an error of
  user code, and the end of the shielded task itself. The first one decides the close code.
* When ``serve`` returns, every socket is closed, and every task and client is gone.
* The reactor outlives the lives: the last ``disconnected`` can still send, and the reactor
  flushes it.
* Each way out of ``serve`` raises one error, not a group of one: first the SystemExit of user
  code, then the error that ended the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, final

import trio

from wsframe.backplane.at_url import made_backplane
from wsframe.backplane.interface import History
from wsframe.connection.link import Link
from wsframe.connection.reactor import Reactor
from wsframe.doorbell import check_trio
from wsframe.hooks.leased_partitions import LeasedPartitions
from wsframe.hooks.listener import Listener, Surroundings
from wsframe.hooks.listeners import Roster
from wsframe.hooks.tracing import made_tracing
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, filled
from wsframe.log import Log, log_for, tell_left_out
from wsframe.protocol.pool import ConnectionPool
from wsframe.resources.resource import Resource
from wsframe.resources.routing.registry import Registry, served_with
from wsframe.resources.server import Server, ServerStatistics, ServiceStatistics, running_server
from wsframe.resources.topics.presences import Presences
from wsframe.resources.topics.publication import Key
from wsframe.resources.topics.recovery import Histories
from wsframe.resources.topics.topics import Topics
from wsframe.server.admission import Admission
from wsframe.server.any_thread import Home, answered_to_any_thread, obeyed_from_any_thread
from wsframe.server.capacity import Places
from wsframe.server.departure import depart
from wsframe.server.drain import Drain, cancel_when
from wsframe.server.entrance import Entrance
from wsframe.server.monitoring.metric_values import metric_values, total
from wsframe.server.monitoring.metrics_port import MetricsPort
from wsframe.server.monitoring.nodes import Nodes
from wsframe.server.monitoring.readiness import reason_of_server
from wsframe.server.monitoring.service_statistics import service_statistics
from wsframe.server.monitoring.slow_hooks import SlowHooks
from wsframe.server.monitoring.statistics import resource_statistics, slowest
from wsframe.server.monitoring.watchdog import Watchdog, named
from wsframe.server.options import ServeOptions
from wsframe.server.ownership.partition_owner import PartitionOwner, made_owner
from wsframe.server.peering import Peering, open_peering
from wsframe.server.peers.peer_port import PeerSocket
from wsframe.server.posting import Posting, hear_other_servers
from wsframe.server.service.generation import Generation
from wsframe.server.service.supervised_worker import Duty, made_duty, placement_of
from wsframe.server.sockets.listen import Bound, close_sockets
from wsframe.server.tls import ServerTLS
from wsframe.server.tls_reload import watch_files
from wsframe.user_code.errors import holds_cancelled, only_leaf
from wsframe.user_code.program import Program, program
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.worker import Worker

if TYPE_CHECKING:
    from wsframe.resources.client import Client

    AnyClient = Client[Any]

__all__ = ["LocalServer"]

logger: Log = log_for(__name__)


@final
class LocalServer:
    """A server that runs in this process; ``server`` is its handle, which documents its public methods."""

    roster: Roster
    admission: Admission
    posting: Posting
    nodes: Nodes
    owner: PartitionOwner | None = None
    """The partitions that it owns by leases; None if it shares none with servers of other machines."""
    peering: Peering | None = None

    def __init__(
        self,
        bound: Sequence[Bound],
        registry: Registry | None,
        options: ServeOptions,
        tls: ServerTLS | None,
        metrics_port: MetricsPort | None = None,
        worker: Worker | None = None,
        peers: PeerSocket | None = None,
    ) -> None:
        self.server: Server = Server(self)
        self.home: Home = Home()
        self._bound, self._options, self._worker = bound, options, worker
        self._tls, self._metrics_port, self._peers = tls, metrics_port, peers
        self._registries = served_with(registry)
        self._timeouts = filled(options.timeouts, DEFAULT_TIMEOUTS)
        self.started: bool = False
        self._ended = trio.Event()
        self._shield = trio.CancelScope(shield=True)
        self._drain = Drain(self._timeouts, self._shield)
        self._slow_hooks = SlowHooks(self._listeners, named)
        self._pool: ConnectionPool[int] = ConnectionPool()
        self.places: Places = Places(options.capacity, worker)
        self.reactor: Reactor = Reactor(self._pool, options.poller, options.capacity.max_queued_bytes)
        self.topics: Topics = Topics(made_backplane(options.backplane), None if peers is None else peers.name)
        self._around = Surroundings(
            server=self.server,
            topics=self.topics,
            limits=filled(options.limits, DEFAULT_LIMITS),
            timeouts=self._timeouts,
            deflate=options.deflate,
            flusher=self.reactor.flusher,
            lead=self.reactor.lead,
            tracing=made_tracing(options.tracing),
        )
        self.watchdog: Watchdog = Watchdog(self._slow_hooks.look)
        self.duty: Duty | None = made_duty(worker, self._drain, self)
        self._program = Program(debug=options.debug, drain=self.drain, cut_off=self._shield.cancel)
        self.addresses: tuple[str, ...] = tuple(one.address for one in bound)
        self.metrics_address: str = "" if metrics_port is None else metrics_port.address

    @property
    def clients(self) -> int:
        """The number of connections."""
        return len(self._pool)

    @property
    def draining(self) -> bool:
        """Whether the server is to stop."""
        return self._drain.asked.is_set()

    @property
    def announces(self) -> bool:
        """Whether this server tells the program that it has started: of several workers one does, once."""
        return self.duty is None or self.duty.starts_service

    @property
    def asked_to_drain(self) -> Callable[[], Awaitable[None]]:
        """Waits until the server is to stop."""
        return self._drain.asked.wait

    @obeyed_from_any_thread
    def drain(self, code: int = 1001, lame_duck: float | None = None) -> None:
        self._drain.ask(code, lame_duck)

    @obeyed_from_any_thread
    def hurry(self) -> None:
        self.drain(lame_duck=0)
        self._shield.deadline = -inf
        self._send_away(tuple(self.reactor.links.values()))
        self.reactor.flusher.flush()  # the tasks that would do it are cut off
        if hasattr(self, "roster"):
            self.roster.hurry()

    async def closed(self) -> None:
        check_trio()
        await self._ended.wait()

    @obeyed_from_any_thread
    def publish(
        self, topic: str, message: Any, *, text: bool, key: Key, compress: bool | None, history: History | None
    ) -> None:
        publish = self.topics.publish_text if text else self.topics.publish_binary
        publish(topic, message, key=key, compress=compress, history=history)

    @property
    def histories(self) -> Histories:
        return self.topics.histories

    @property
    def presences(self) -> Presences:
        return self.topics.presences

    @answered_to_any_thread
    def statistics(self) -> ServerStatistics:
        by_resource = resource_statistics(self.roster, self._registries)
        metrics = metric_values(self)
        return ServerStatistics(
            clients=len(self._pool),
            reserved=self.places.reserved,
            pending_handshakes=len(self.admission.pending.under_way),
            admitted=self.admission.answering.answers.handshakes["101"],
            refused=self.admission.answering.refused,
            resources=len(self.roster),
            messages_received=self.roster.received_before + sum(one.messages_received for one in by_resource),
            messages_sent=total(metrics, "wsframe_messages_total", "out"),
            messages_dropped=total(metrics, "wsframe_messages_dropped_total"),
            bytes_received=total(metrics, "wsframe_bytes_total", "in"),
            bytes_sent=total(metrics, "wsframe_bytes_total", "out"),
            bytes_waiting=self.reactor.budget.held,
            by_resource=by_resource,
            metrics=metrics,
        )

    async def service_statistics(self) -> ServiceStatistics:
        check_trio()
        return await service_statistics(self._worker, self.statistics())

    @property
    def reloads(self) -> bool:
        """Whether there are certificates from files."""
        return self._tls is not None

    @answered_to_any_thread
    def reload_certificates(self) -> bool:
        return self._tls is not None and self._tls.reload()

    @answered_to_any_thread
    def unready(self) -> str:
        return reason_of_server(self)

    @answered_to_any_thread
    def slowest_clients(self, count: int) -> list[AnyClient]:
        return list(slowest(self.reactor.links.values(), count))

    @answered_to_any_thread
    def list_clients(self) -> list[AnyClient]:
        return [client for listener in self.roster.listeners() for client in listener.clients]

    @answered_to_any_thread
    def find(self, path: str) -> Resource[Any] | None:
        return self.roster.resource_at(path)

    @answered_to_any_thread
    def post(self, path: str, message: str | bytes) -> bool:
        return self.posting.post(path, message)

    async def serve(self, task_status: trio.TaskStatus[Server]) -> None:
        """Serve until closed or cancelled; every socket, task and client is gone when it returns."""
        failure: list[BaseException] = []

        async def work() -> None:
            running_server.set(self.server)  # of this task and those it starts
            program.set(self._program)
            try:
                with self.watchdog, self._shield:
                    await self._work(task_status)
            except BaseException as error:
                if holds_cancelled(error):
                    raise
                failure.append(error)
            finally:
                self._drain.end()

        try:
            async with ProtectedNursery() as nursery:
                nursery.start_soon(work, name="wsframe server")
                try:
                    await self._drain.due()
                finally:
                    self.drain(lame_duck=0)
        finally:
            self._ended.set()
            tell_left_out()
        if self._program.error is not None:
            raise self._program.error
        if failure:
            raise only_leaf(failure[0])
        if not self.started:
            task_status.started(self.server)  # it was closed while it started, which is not an error

    async def _work(self, task_status: trio.TaskStatus[Server]) -> None:
        async with ProtectedNursery() as workings:
            await workings.start(self.reactor.run)
            if self._tls is not None:
                workings.start_soon(watch_files, self._tls)
            workings.start_soon(hear_other_servers, self.topics, self.reactor.flusher)
            if self.duty is not None:
                workings.start_soon(self.duty.run)
            async with ProtectedNursery() as lives:
                self._open_roster(lives, workings)
                if self.duty is not None:
                    owned = None if self.owner is None else self.owner.owned
                    worker, roster, reactor = self.duty.worker, self.roster, self.reactor
                    generation = Generation(worker, roster, reactor, self.places, self.posting, owned)
                    workings.start_soon(self.duty.belong, generation)
                try:
                    self.admission = Admission(
                        self.roster, self.reactor, self.places, self._options, self._registries, self._around.tracing,
                        self._worker,
                    )  # fmt: skip
                    self.peering = await open_peering(
                        self._peers, self.owner, self.topics, self._options, self.admission, workings
                    )
                    async with ProtectedNursery() as starting:
                        starting.start_soon(cancel_when, self._drain.asked, starting.scope)
                        await self.roster.all_ready()
                        if self.duty is not None:
                            await self.duty.until_welcome()
                        starting.cancel()
                    if self.draining:
                        self.roster.hurry(starting_only=True)
                    else:
                        await self._accept_until_draining(task_status)
                finally:
                    self.roster.retire_all()
            if self.owner is not None:
                await self.owner.giving.return_all()
            await self.reactor.until_empty()
            await self.admission.carried.finish(self._drain.remaining / 2, self._drain.code, "server stopping")
            workings.cancel()

    def _open_roster(self, lives: ProtectedNursery, workings: ProtectedNursery) -> None:
        """Start the lives that belong here, now or once this server owns their partitions."""
        leased = LeasedPartitions()
        make = partial(Listener, around=self._around)
        self.roster = Roster(self._registries, make, lives, placement_of(self.duty), leased)
        self.posting = Posting(self.roster, self.topics, self._worker)
        self.owner = made_owner(
            self.roster, leased, self.topics, self.posting, self.reactor, self._options.cluster, self._worker
        )
        self.roster.watch()
        self.posting.open()
        self.nodes = Nodes(self.topics, self.server, self._worker)
        if self.owner is not None:
            workings.start_soon(self.owner.run, self._drain)
        if self._metrics_port is not None:
            self._metrics_port.open(self.reactor, workings)

    async def _accept_until_draining(self, task_status: trio.TaskStatus[Server]) -> None:
        async with ProtectedNursery() as newcomers:
            tuning = self._around.limits.unsent_in_kernel, self._timeouts.write_stall
            entrance = Entrance(self.admission, newcomers, self._timeouts.handshake, tuning)
            async with ProtectedNursery() as accepting:
                entrance.open(self._bound, accepting, None if self.duty is None else self.duty.balance)
                if self.duty is not None:
                    self.duty.open_door(entrance, self._bound)
                if self.peering is not None:
                    accepting.start_soon(self.peering.take, entrance.start, again=True)
                logger.info("serving at %s", ", ".join(self.addresses))
                if self.roster.placement.spread and self.roster.placement.slot == 0:
                    logger.info("%s", self.roster.whereabouts.summary())
                task_status.started(self.server)
                self.started = True
                await self._drain.begun.wait()
                accepting.cancel()
            close_sockets(self._bound)
            if self.peering is not None:
                self.peering.port.close()
            stop = partial(self.admission.carried.depart, self._drain.leaving, self._drain.code, "server stopping")
            newcomers.start_soon(stop)
            if self.duty is not None and self.duty.succeeded:
                entrance.leave_door()
            await self._part_with_clients()
            entrance.leave_door()

    async def _part_with_clients(self) -> None:
        """Tell every client to leave: first those that are here, last the newcomers that still get in."""
        if self.duty is not None and self.duty.succeeded:
            await self.duty.leave_partitions(self.admission)
            return
        if self.owner is not None:
            await self.owner.giving.leave_all(self._drain.leaving)
        links = self.reactor.links
        here = tuple(links.values())

        def stays(link: Link) -> bool:
            return links.get(link.fd) is link

        self.admission.drain(self._drain.finishing)
        await depart([[link] for link in here], self._drain.leaving, self._send_away, stays)
        await self.admission.until_decided()
        late = set(links.values()).difference(here)
        if late:
            await trio.sleep(self._drain.stay)
            await depart([late], 0, self._send_away, stays)

    def _listeners(self) -> tuple[Listener, ...]:
        return self.roster.listeners() if hasattr(self, "roster") else ()

    def _send_away(self, links: Iterable[Link]) -> None:
        self.reactor.close_all(links, self._drain.code, "server stopping")
