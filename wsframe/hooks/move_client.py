"""How a client gets from one resource to another, with its messages in order.

A move takes effect between two of the client's messages: what its hooks had not got to when
the move began is the new side's. From then on what comes from the client waits in the move.
The move itself stands in the old mailbox, behind what waits there: when the old side's task
gets to it, it calls ``disconnected`` and hands the client over with all that waited.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Protocol

from wsframe.connection.handover import Host
from wsframe.connection.mailbox import Inbox, Mailbox
from wsframe.doorbell import check_thread
from wsframe.http.request import Request, peer_name
from wsframe.http.responses import Reject
from wsframe.log import logger, quoted, shortened
from wsframe.protocol.close import State
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource

if TYPE_CHECKING:
    AnyClient = Client[Any]
else:
    AnyClient = Client

__all__ = ["Departures", "Move", "Siblings", "call_off", "divert"]


class Destination(Host, Protocol):
    """The life of a resource that a client can go to."""

    resource: Resource


class Siblings(Protocol):
    """The lives of a server's resources, for one of them that needs the others."""

    def join(self, target: Resource | str, request: Request) -> Destination: ...


class Move(Mailbox[AnyClient]):
    """Where the messages of a client wait that is between two resources.

    Args:
        source: The mailbox it comes from.
        host: The resource's life it goes to, which it has joined.
    """

    __slots__ = ("earlier", "host", "source")

    def __init__(self, source: Mailbox[AnyClient], host: Destination) -> None:
        super().__init__()
        self.source = source
        self.host = host
        self.earlier: Mailbox[AnyClient] = Mailbox()
        """What came before the move began and was still in the old mailbox."""

    def drop(self, inbox: Inbox[AnyClient]) -> None:
        self.source.drop(inbox)
        self.earlier.drop(inbox)
        super().drop(inbox)

    def tell(self, inbox: Inbox[AnyClient], event: object) -> None:
        self.source.put(inbox, event)

    def fed_by(self, mailbox: Mailbox[AnyClient]) -> bool:
        return mailbox is self.source  # the new side is owed nothing before the old one has said goodbye

    def next_entry(self) -> object:
        return self.source.next_entry()

    def hand_over(self, inbox: Inbox[AnyClient]) -> None:
        """Give the client to its new resource: its beginning first, then all that waited."""
        if self.host.over:
            self.give_up(inbox)
            return
        inbox.client._link.closing.reservation.settle()
        inbox.mailbox = self.host.mailbox_for_client()
        self.host.welcome(inbox)
        inbox.mailbox.entries += self.earlier.entries
        inbox.mailbox.entries += self.entries

    def give_up(self, inbox: Inbox[AnyClient]) -> None:
        """End a client that cannot be handed over, because the server stops."""
        link = inbox.client._link
        link.abort("server stopped", mute=True)
        call_off(inbox)
        link.closing.left()


class Departures:
    """Lets the clients of one life of a resource go to others.

    Args:
        clients: Those whose ``disconnected`` has not begun.
    """

    def __init__(self, clients: Container[AnyClient]) -> None:
        self._clients = clients
        self.siblings: Siblings | None = None
        """The lives of the server's other resources; set by the roster."""

    def move(self, client: AnyClient, target: Resource | str) -> bool:
        """Begin a client's move; see :meth:`Client.move_to`."""
        if not isinstance(target, Resource | str):
            raise TypeError(f"a client moves to a resource or a path, not {target!r}")
        check_thread()
        inbox = client._link.inbox
        moving = inbox.muted or isinstance(inbox.mailbox, Move) or client.state is State.CLOSING
        # The old side has got to its end, which would be lost: its tasks can tell of one thing only when they are over.
        ending = client._work is not None and client._work.after is not None
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
        except Reject as reject:
            peer, place = peer_name(client.host, client.port), target
            if isinstance(target, Resource):
                place = type(target).__name__
            came_by = shortened(client.path)
            logger.info("%s %s: not moved to %s: %s", peer, came_by, quoted(place), reject._reason, kind=reject.status)
            return False
        host.leave()
        return True


def set_off(client: AnyClient, host: Destination) -> None:
    """Begin a move.

    Raises:
        Reject: If the new resource has no place.
    """
    link = client._link
    if not link.closing.reservation.take(id(host.resource), host.resource.max_clients):
        raise Reject(503, body="resource full")
    source = link.inbox.mailbox
    move = link.inbox.mailbox = Move(source, host)
    source.put(link.inbox, move)


def call_off(inbox: Inbox[AnyClient]) -> None:
    """Give back what the move of a client holds, if it is in one: it ends where it is."""
    if isinstance(inbox.mailbox, Move):
        inbox.paused = False
        inbox.took_last()
        inbox.mailbox.host.leave()


def divert(inbox: Inbox[AnyClient], message: object) -> None:
    """Put what the old side found of a client that is moving to what waits for the new side."""
    assert isinstance(inbox.mailbox, Move)
    inbox.mailbox.earlier.entries.append((inbox, message))
