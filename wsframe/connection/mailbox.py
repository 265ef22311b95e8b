"""Where messages wait for the hooks: one mailbox per resource, one inbox per client in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wsframe.connection.memory_budget import MESSAGE_COST, Budget
from wsframe.doorbell import Doorbell
from wsframe.protocol.events import PongReceived

if TYPE_CHECKING:
    from wsframe.limits import Limits

__all__ = ["Inbox", "Mailbox"]

OwnerT = TypeVar("OwnerT")


class Mailbox(Generic[OwnerT]):
    """The queue of one listener task: ``(inbox, message)``, or ``(None, post)``.

    A message is ``str`` or ``bytes``; everything else is an event object. Only one task
    takes from it, so nothing needs a lock.
    """

    __slots__ = ("budget", "closed", "doorbell", "entries", "posts", "wants_pongs")

    def __init__(self, *, wants_pongs: bool = True, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        """Of the server: posts are counted there by their number, not knowing what they are."""
        self.entries: deque[tuple[Inbox[OwnerT] | None, object]] = deque()
        self.doorbell = Doorbell()
        self.wants_pongs = wants_pongs
        self.posts = 0
        """How many of the entries are posts."""
        self.closed = False
        """Whether a client has ended that was served here: with it ends a mailbox of its own."""

    def put(self, inbox: Inbox[OwnerT] | None, entry: object) -> None:
        """Queue one entry and wake the listener."""
        self.entries.append((inbox, entry))
        self.doorbell.ring()

    def post(self, post: object) -> None:
        """Queue a message of the resource's own code."""
        self.posts += 1
        self.budget.held += MESSAGE_COST
        self.put(None, post)

    def took_post(self) -> None:
        """Note that one of these waits no more."""
        self.posts -= 1
        self.budget.held -= MESSAGE_COST

    def drop(self, inbox: Inbox[OwnerT]) -> None:
        """Drop the messages of one client; the beginning and the end of the client stay."""
        kept = [
            (owner, entry)
            for owner, entry in self.entries
            if owner is not inbox or not isinstance(entry, str | bytes | PongReceived)
        ]
        self.entries.clear()
        self.entries.extend(kept)

    def tell(self, inbox: Inbox[OwnerT], event: object) -> None:
        """Queue what comes of the client's hooks and not of its peer, for the task that calls these hooks."""
        self.put(inbox, event)

    def fed_by(self, mailbox: Mailbox[Any]) -> bool:
        """Tell whether the task that serves ``mailbox`` calls the hooks of the clients here."""
        return mailbox is self

    def next_entry(self) -> object:
        """Return what the listener takes next: another one than before if it has got on."""
        return self.entries[0] if self.entries else None


class Inbox(Generic[OwnerT]):
    """One client's share of a mailbox.

    ``waiting`` counts its messages there. When the share is used up, the link pauses
    reading, sets ``paused``, and ``resume`` is called once the share is empty again.
    """

    __slots__ = (
        "budget",
        "client", "mailbox", "max_messages", "max_octets", "muted",
        "octets", "paused", "received", "resume", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        client: OwnerT,
        mailbox: Mailbox[OwnerT],
        limits: Limits,
        resume: Callable[[], None],
        budget: Budget,
    ) -> None:
        self.client = client
        self.mailbox = mailbox
        self.max_messages = limits.max_queued_messages
        self.max_octets = limits.max_queued_bytes
        self.budget = budget
        self.resume = resume
        self.waiting = 0
        self.octets = 0
        """What is counted for them: it falls when the last has been taken."""
        self.received = 0
        self.paused = False
        self.muted = False
        """Whether queued messages are to be dropped, because we ended the client."""

    def put(self, messages: Sequence[object], octets: int) -> None:
        """Queue what one read brought: messages that weigh so many octets, beside what each costs."""
        mailbox = self.mailbox
        count = len(messages)
        rung = bool(mailbox.entries)
        if count == 1:
            mailbox.entries.append((self, messages[0]))
        else:
            mailbox.entries.extend([(self, message) for message in messages])
        self.waiting += count
        octets += MESSAGE_COST * count
        self.octets += octets
        self.budget.held += octets
        self.received += count
        if not rung:
            mailbox.doorbell.ring()

    def tell(self, event: object) -> None:
        """Queue an event of the client's hooks, not of its peer, behind the client's messages."""
        self.mailbox.tell(self, event)

    def discard(self) -> None:
        """Drop the messages that wait; the beginning and the end of the client stay."""
        self.mailbox.drop(self)
        self.waiting = 0
        self.took_last()

    def took_last(self) -> None:
        """Note that nothing waits any more."""
        self.budget.held -= self.octets
        self.octets = 0
        if self.paused:
            self.resume()

    @property
    def full(self) -> bool:
        """Whether the share is used up."""
        return self.waiting >= self.max_messages or self.octets >= self.max_octets
