"""Moves a client from one resource to another, with its messages in order.

A move takes effect between two of the client's messages: messages whose hooks had not begun when the move began belong
to the new resource. From then on the client's messages wait in the :class:`Move`. The move itself stands in the old
mailbox, after the messages that wait there: when the old side's task gets to it, it calls ``disconnected`` and hands
the client over with all that waited.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Protocol

from wsframe.connection.counters import PathCounters
from wsframe.connection.interfaces import ClientLink, Host
from wsframe.connection.mailbox import Inbox, Move
from wsframe.doorbell import check_thread
from wsframe.exceptions import LivesElsewhere
from wsframe.http.request import Request, peer_name
from wsframe.http.responses import Reject
from wsframe.log import Log, log_for, quoted, shortened
from wsframe.protocol.close import State
from wsframe.protocol.closing import Phase
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource

if TYPE_CHECKING:
    AnyClient = Client[Any]
else:
    AnyClient = Client

__all__ = ["Departures", "Destination", "Siblings", "call_off", "give_up", "hand_over"]

logger: Log = log_for(__name__)


class Destination(Host, Protocol):
    """The life of a resource that a client can go to."""

    resource: Resource


class Siblings(Protocol):
    """The lives of a server's resources, for one of them that needs the others."""

    def join(self, target: Resource | str, request: Request) -> Destination: ...


class Departures:
    """Lets the clients of one life of a resource go to others.

    Args:
        clients: The clients whose ``disconnected`` has not begun.
    """

    __slots__ = ("_clients", "siblings")

    def __init__(self, clients: Container[AnyClient]) -> None:
        self._clients = clients
        self.siblings: Siblings | None = None
        """The lives of the server's other resources; :class:`Roster` sets it."""

    def move(self, client: AnyClient, target: Resource | str) -> bool:
        """Begin a client's move; see :meth:`Client.move_to`."""
        if not isinstance(target, Resource | str):
            raise TypeError(f"move_to takes a resource or a path, not {target!r}")
        check_thread()
        inbox = client._link.inbox
        moving = inbox.muted or inbox.move is not None or client.state is State.CLOSING
        # Its end waits in ``after`` for its tasks. That has room for one entry: a move would replace it.
        ending = client._tasks is not None and client._tasks.after is not None
        if moving or ending or client not in self._clients or self.siblings is None:
            return False
        try:
            host = self.siblings.join(target, client.request)
            try:
                if host.resource is not client.resource:
                    set_off(client, host)
                    return True
            except BaseException:
                host.leave()
                raise
        except (Reject, LivesElsewhere) as refusal:
            peer, place = peer_name(client.host, client.port), target
            if isinstance(target, Resource):
                place = type(target).__name__
            came_by = shortened(client.path)
            reason = refusal._reason if isinstance(refusal, Reject) else str(refusal)
            logger.info("%s %s: not moved to %s: %s", peer, came_by, quoted(place), reason, kind=type(refusal))
            return False
        host.leave()
        return True


def set_off(client: AnyClient, host: Destination) -> None:
    """Begin a move.

    Raises:
        Reject: If the new resource has no place.
    """
    link = client._link
    if not link.leaving.reservation.take(id(host.resource), host.resource.max_clients):
        raise Reject(503, body="resource full")
    link.inbox.begin_move(Move(host))


def hand_over(inbox: Inbox[AnyClient], move: Move[Destination]) -> None:
    """Give a client to its new resource: its beginning first, then all that waited."""
    host = move.host
    if host.over:
        give_up(inbox)
        return
    inbox.client._link.leaving.reservation.settle()
    change_counters(inbox.client._link, host.counters)
    inbox.mailbox = host.mailbox_for_client()
    host.welcome(inbox)
    inbox.end_move(move)


def change_counters(link: ClientLink, counters: PathCounters) -> None:
    """Count the messages up to now for the path that a client leaves, and later ones for its new one."""
    if link.closing.phase is not Phase.GONE:  # else its numbers are in counters of a path already
        link.counters.settle(link)
        counters.settle(link, -1)
    link.counters = counters


def give_up(inbox: Inbox[AnyClient]) -> None:
    """End a client that cannot be handed over, because the server stops."""
    link = inbox.client._link
    link.abort("server stopped", mute=True)
    call_off(inbox)
    link.leaving.left()


def call_off(inbox: Inbox[AnyClient]) -> None:
    """Give back the place and the bytes that the move of a client holds, if it is in one: it ends where it is."""
    if inbox.move is not None:
        inbox.paused = False
        inbox.took_last()
        inbox.move.host.leave()
