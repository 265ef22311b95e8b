"""Hosts for connections that are thawed: a link is made for them as for a newcomer, and no hook hears of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from wsframe.connection.counters import PathCounters
from wsframe.connection.freeze import FrozenConnection
from wsframe.connection.interfaces import Arrival, ClientLink
from wsframe.connection.mailbox import Inbox, Mailbox
from wsframe.hooks.listener import Listener
from wsframe.limits import Limits, Timeouts
from wsframe.protocol.deflate import Deflate
from wsframe.protocol.encoder import Encoder
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["NO_PLACE", "Departed", "Restored", "Returning"]


class NoPlace:
    """The reservation of a client that has given back its place."""

    def take(self, place: Hashable, max_in_place: int | None) -> bool:
        return False

    def settle(self) -> None:
        """Nothing is held."""

    def release(self) -> None:
        """Nothing is held."""


NO_PLACE = NoPlace()


class Restored:
    """A life, for a client that comes from another process.

    Its limits, timeouts except that of hooks, compression and overflow stay those of the resource that admitted it.
    """

    deflate: Deflate | None
    limits: Limits
    timeouts: Timeouts

    def __init__(self, listener: Listener, frozen: FrozenConnection) -> None:
        self._listener = listener
        self.resource: Resource[Any] = listener.resource
        self.limits, self.timeouts = frozen.limits, frozen.timeouts
        self.overflow, self.deflate = frozen.overflow, frozen.deflate
        self.counters: PathCounters = listener.counters

    @property
    def over(self) -> bool:
        """Whether the life is over."""
        return self._listener.over

    def make_client(self, link: ClientLink, arrival: Arrival, encoder: Encoder | None) -> AnyClient:
        """Make the client of a new link."""
        return self._listener.make_client(link, arrival, encoder)

    def mailbox_for_client(self) -> Mailbox[AnyClient]:
        """Return the mailbox for the messages of the client."""
        return self._listener.mailbox_for_client()

    def leave(self) -> None:
        """Free one seat."""
        self._listener.leave()

    def welcome(self, inbox: Inbox[AnyClient]) -> None:
        """Go on with the client, which has had its ``client_connected``."""
        self._listener.welcome(inbox, known=True)


class Returning(Restored):
    """A life, for a client of its own that was frozen: it stays the same object, with its place in the mailbox."""

    def __init__(self, listener: Listener, frozen: FrozenConnection, client: AnyClient) -> None:
        super().__init__(listener, frozen)
        self._client = client
        self._mailbox: Mailbox[AnyClient] = client._link.inbox.mailbox

    def make_client(self, link: ClientLink, arrival: Arrival, encoder: Encoder | None) -> AnyClient:
        """Tie the client to its new link."""
        self._client._link, self._client._outbox, self._client._encoder = link, link.outbox, encoder
        return self._client

    def mailbox_for_client(self) -> Mailbox[AnyClient]:
        """Return the mailbox that its task serves."""
        return self._mailbox

    def welcome(self, inbox: Inbox[AnyClient]) -> None:
        """Do nothing: the client has never been away."""


class Departed(Returning):
    """The rest of a life that is over, for a client that only has to be told so."""

    def __init__(self, listener: Listener, frozen: FrozenConnection, client: AnyClient) -> None:
        super().__init__(listener, frozen, client)
        self._mailbox = Mailbox()
