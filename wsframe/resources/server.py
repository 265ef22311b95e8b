"""The handle on a running server: the one object of a server that users and resources hold.

It knows nothing of sockets, tasks or the reactor: its :class:`ServerInternals` do the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, final

from wsframe.backplane.interface import History, Position
from wsframe.backplane.presence import Member
from wsframe.doorbell import check_trio
from wsframe.limits import check_number
from wsframe.protocol.close import check_close_code
from wsframe.protocol.payload import BytesLike
from wsframe.resources.topics.presences import Presences
from wsframe.resources.topics.publication import Key, Publication, check_topic
from wsframe.resources.topics.recovery import Histories, Recovery

if TYPE_CHECKING:
    from wsframe.resources.client import Client, Resource

    AnyClient = Client[Any]

__all__ = [
    "Distribution",
    "Metrics",
    "ResourceStatistics",
    "Server",
    "ServerInternals",
    "ServerStatistics",
    "ServiceStatistics",
    "WorkerStatistics",
    "running_server",
]


class Distribution(NamedTuple):
    """Durations in buckets; a value of :attr:`ServerStatistics.metrics`."""

    bounds: tuple[float, ...]
    """The upper bounds of the buckets in seconds; the last one is infinite."""
    counts: tuple[int, ...]
    """How many durations fell into each bucket alone."""
    seconds: float
    """All durations together."""


Metrics: TypeAlias = Mapping[str, Mapping[tuple[str, ...], float | Distribution]]


class ResourceStatistics(NamedTuple):
    """A snapshot of one resource; part of :class:`ServerStatistics`."""

    name: str
    """The name of its class."""
    paths: tuple[str, ...]
    """The paths it is registered under, or the one that a factory made it for. Empty where only a dispatcher
    or ``deliver_to`` leads to it, and once it is unregistered and its last clients stay."""
    clients: int
    """Its connected clients."""
    messages_received: int
    """Messages its clients have sent, since this server began to serve it or it last started again."""
    messages_waiting: int
    """Messages of its clients that wait for its hooks."""
    hook_seconds: float
    """Seconds in which its hooks ran or waited. With ``ordering = "client"`` hooks
    overlap, so it can grow faster than time."""


class ServerStatistics(NamedTuple):
    """A snapshot of a server. Returned by :meth:`Server.statistics`."""

    clients: int
    """Connections now, including those that are ending."""
    reserved: int
    """Places taken: clients whose ``disconnected`` has not run, and newcomers past the path check."""
    pending_handshakes: int
    """Newcomers between accept and 101."""
    admitted: int
    """Newcomers that have become clients so far."""
    refused: int
    """Newcomers that the server has refused with an HTTP error so far."""
    resources: int
    """Resources with a listener."""
    messages_received: int
    """Messages that clients have sent so far."""
    messages_sent: int
    """Messages queued for clients so far, those included that an overflow policy dropped later."""
    messages_dropped: int
    """Messages that overflow policies have dropped so far."""
    bytes_received: int
    """Bytes received from clients so far, without TLS and requests."""
    bytes_sent: int
    """Bytes sent to clients so far, without TLS and the answers to requests."""
    bytes_waiting: int
    """Bytes that count towards ``Capacity.max_queued_bytes``: data that waits for hooks and for slow clients, and
    the memory of the objects that hold it."""
    by_resource: tuple[ResourceStatistics, ...]
    """Each resource with a listener."""
    metrics: Metrics
    """All the numbers of :func:`wsframe.metrics` by name, and there by the values of their labels: for example
    ``metrics["wsframe_messages_total"]["in", "/chat"]``. The page of metrics and the reference list them."""


class WorkerStatistics(NamedTuple):
    """A snapshot of one process of a service; part of :class:`ServiceStatistics`."""

    slot: int
    """Its number, from 0."""
    pid: int
    """Its process; 0 if none runs."""
    generation: int
    """How often its slot has been restarted by order."""
    state: str
    """``"ready"``, ``"starting"``, ``"silent"`` while its event loop stands still, or ``"down"``."""
    statistics: ServerStatistics | None
    """Its own; None if it has not answered within 2 s."""


class ServiceStatistics(NamedTuple):
    """A snapshot of a whole service. Returned by :meth:`Server.service_statistics`."""

    total: ServerStatistics
    """The numbers of all workers that have answered, added; a gauge like ``wsframe_ready`` counts workers then."""
    workers: tuple[WorkerStatistics, ...]
    """Each worker, by slot."""


class ServerInternals(Protocol):
    """The running server that a :class:`Server` is the handle of."""

    @property
    def addresses(self) -> tuple[str, ...]: ...
    @property
    def metrics_address(self) -> str: ...
    @property
    def clients(self) -> int: ...
    def drain(self, code: int, lame_duck: float | None) -> None: ...
    def hurry(self) -> None: ...
    async def closed(self) -> None: ...
    def reload_certificates(self) -> bool: ...
    def unready(self) -> str: ...
    def publish(
        self, topic: str, message: Any, *, text: bool, key: Key, compress: bool | None, history: History | None
    ) -> None: ...
    @property
    def histories(self) -> Histories: ...
    @property
    def presences(self) -> Presences: ...
    def statistics(self) -> ServerStatistics: ...
    async def service_statistics(self) -> ServiceStatistics: ...
    def slowest_clients(self, count: int) -> list[AnyClient]: ...
    def list_clients(self) -> list[AnyClient]: ...
    def find(self, path: str) -> Resource[Any] | None: ...
    def post(self, path: str, message: str | bytes) -> bool: ...


@final
class Server:
    """A running server; made by :func:`serve`, :func:`open_server`, :func:`run` and :func:`serving`.

    Threads other than trio's can call all but the coroutines. They do not wait for :meth:`close` and :meth:`hurry`;
    for an answer of the others they wait until trio's thread has a turn. The clients and resources that they get
    belong to trio's thread: there only :meth:`Resource.post_from_thread` is for others.
    """

    __slots__ = ("__weakref__", "_internals")

    def __init__(self, internals: ServerInternals) -> None:
        self._internals = internals

    def __repr__(self) -> str:
        return f"<Server {', '.join(self.addresses)} [clients: {self.clients}]>"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the server listens, such as ``ws://127.0.0.1:8000``."""
        return self._internals.addresses

    @property
    def metrics_address(self) -> str:
        """Where the metrics are, such as ``http://127.0.0.1:9100/metrics``; ``""`` without ``metrics_port``."""
        return self._internals.metrics_address

    @property
    def clients(self) -> int:
        """The number of connections."""
        return self._internals.clients

    def close(self, code: int = 1001, *, lame_duck: float | None = None) -> None:
        """Begin to drain: accept no more, close every client with ``code``; returns immediately.

        From now on ``readyz`` answers 503. After the lame duck clients and hooks have ``timeouts.drain``
        seconds. Wait for the end with :meth:`closed`. A second call keeps the code of the first, and can only
        make the lame duck shorter.

        Args:
            code: The close code.
            lame_duck: Seconds for which the server goes on as before; None for ``timeouts.lame_duck``.

        Raises:
            TypeError: If the code is not an int, or the lame duck not a number.
            ValueError: If the code must not be sent, or the lame duck is negative.
        """
        check_close_code(code)
        check_number("lame_duck", lame_duck, "float | None", 0)
        self._internals.drain(code, lame_duck)

    def hurry(self) -> None:
        """Cut the drain short: cancel everything that still runs."""
        self._internals.hurry()

    async def closed(self) -> None:
        """Wait until the server has ended; a hook would wait for itself until the drain's deadline."""
        await self._internals.closed()

    def reload_certificates(self) -> bool:
        """Read the files of ``certificates`` and ``client_ca`` again; return whether that succeeded.

        Newcomers get the new certificates, and connections that are open keep theirs. After a failure the old
        ones stay, and the log has one line. Without ``certificates`` it returns False. The server does this itself
        at SIGHUP (under `run` and ``wsframe serve``) and when files have changed, at which it looks every 5 s.
        """
        return self._internals.reload_certificates()

    def publish_text(
        self, topic: str, message: str | BytesLike, *,
        key: str | int | None = None, compress: bool | None = None, history: History | None = None,
    ) -> None:  # fmt: skip
        """Queue a text message for the subscribers of a topic; see :meth:`Resource.publish_text`. From any thread."""
        self._internals.publish(topic, message, text=True, key=key, compress=compress, history=history)

    def publish_binary(
        self, topic: str, message: BytesLike, *,
        key: str | int | None = None, compress: bool | None = None, history: History | None = None,
    ) -> None:  # fmt: skip
        """Queue a binary message for the subscribers of a topic. From any thread."""
        self._internals.publish(topic, message, text=False, key=key, compress=compress, history=history)

    async def resume(self, client: AnyClient, topic: str, since: Position | None = None) -> Recovery:
        """Subscribe a client to a topic with history, and return the messages that it has missed since a position.

        The next message that the client gets is the one after ``position`` of the result, which is known before
        any message. Without ``since`` nothing is asked for, and ``publications`` is None. It waits for the engine at
        most 5 s. A client that has left by then is not subscribed.

        Args:
            client: A client of this server.
            topic: A topic whose messages are published with ``history``.
            since: The position of the last message that it got.
        """
        check_trio()
        check_topic(topic)
        recovery = await self._internals.histories.resume(topic, since)
        client.resource.subscribe(client, topic)
        return recovery

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest message of a topic with history; None if the engine cannot be reached."""
        check_trio()
        return await self._internals.histories.newest(topic)

    async def since(self, topic: str, position: Position) -> list[Publication] | None:
        """Return all messages of a topic after a position, oldest first; None if some of them are not kept any more."""
        check_trio()
        return await self._internals.histories.since(topic, position)

    async def presence(self, topic: str) -> list[Member]:
        """Return the members of a topic on all servers, in the order in which they joined, as far as is known here.

        Those are the clients that were subscribed with ``member``; one whose connection is lost stays for 10 s. It
        waits only for a topic that this server has not followed before: the others then have a second to answer.
        """
        check_trio()
        check_topic(topic)
        return await self._internals.presences.members(topic)

    def statistics(self) -> ServerStatistics:
        """Return a snapshot of this server, of several workers this one alone.

        It walks through all clients: ask for it each second, not each message.
        """
        return self._internals.statistics()

    async def service_statistics(self) -> ServiceStatistics:
        """Return a snapshot of the whole service: of all workers, added and one by one.

        Without ``workers`` that is this server alone. It asks the other processes and waits at most 2 s for them.
        """
        return await self._internals.service_statistics()

    def unready(self) -> str:
        """Return why newcomers should rather go elsewhere; ``""`` while all are welcome."""
        return self._internals.unready()

    def slowest_clients(self, count: int = 10) -> list[AnyClient]:
        """Return the clients with the most bytes waiting to be sent to them, most first.

        Clients for which nothing waits are left out. :meth:`Client.statistics` says how much
        waits.
        """
        return self._internals.slowest_clients(count)

    def list_clients(self) -> list[AnyClient]:
        """Return a snapshot of the clients of all resources, including those that no path leads to any more."""
        return self._internals.list_clients()

    def find(self, path: str) -> Resource[Any] | None:
        """Return the resource that serves a path now, or None.

        That is the one registered, or the one that a factory has made for the path and that is
        in use. Dispatchers are not asked.

        Raises:
            LivesElsewhere: If the path is served by another worker.
        """
        return self._internals.find(path)

    def post(self, path: str, message: str | bytes) -> bool:
        """Have ``received_custom`` called with a message in the resource of a path, in whichever worker it lives.

        Posts to one path from one worker are received in order, each at most once; nothing tells whether one was. A
        resource of scope ``"shared"`` receives it in all workers and servers. Dispatchers are not asked. From any
        thread.

        Args:
            path: As a client asks for it, such as ``/rooms/5``.
            message: Text, or at most 1 MiB of bytes.

        Returns:
            Whether it was queued here. It was not if no path is registered for it, nothing runs there in this worker,
            10 000 posts wait, or the way to the other worker has no room.

        Raises:
            TypeError: For another type: objects stay in their process.
            ValueError: For a message above 1 MiB.
        """
        return self._internals.post(path, message)


running_server: ContextVar[Server] = ContextVar("running_server")
"""The server of this task; an ``http_handler`` is made before its server, so it has to look here."""
