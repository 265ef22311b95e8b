"""Queues of messages that wait for hooks: one mailbox per resource, one inbox per client.

How it works
------------

The reactor decodes messages and puts them in; a listener task takes them out and calls hooks.
Between the two stands one :class:`Mailbox` per life of a resource. It is a queue of pairs: the
:class:`Inbox` of a client, and the entry. An entry of type ``str`` or ``bytes`` is a message;
``hooks/caller`` has the table of the others: the client's beginning, its end, a pong, a failed
task, a move. Posts and calls belong to no client, so their inbox is None.

The inbox of a client is not a queue. It is the client's share of one: it counts the messages that
wait in the mailbox, stops the reading when they are too many, and starts it again. A resource
has one queue for all its clients because its hooks run one at a time, in the order in which the
messages came; each client has its own share so that nobody can fill the queue at the cost of
the others.

Reading stops (``paused``) when the share of the client is used up, when all clients together
exceed the budget, or when the client exceeds its rate. It starts again when the last message of
the client has been taken, not when the first has: a client that is held up is then read once per
share and not once per message.

A client that moves to another resource stays in the mailbox of its old side until ``disconnected``
has run there. In the meantime its entries wait in the two lists of a :class:`Move`: ``earlier``
for those that the old side's task takes out of its queue, ``later`` for those that still arrive.
Handing over appends both to the new mailbox, so the order is kept.

With ``ordering = "client"`` a client whose hook waits has a :class:`Backlog` in the mailbox, to which the task on
watch moves the entries that it takes out for that client (``hooks/client_ordering``).

Invariants
----------

1. ``Inbox.waiting`` counts the messages and pongs of a client in the mailbox, in its backlog and in the
   lists of its move. :meth:`Inbox.put` alone adds, :func:`take` and :meth:`Inbox.discard` subtract.
2. ``Inbox.byte_count`` falls to 0 when ``waiting`` does, and only then. ``Budget.held`` rises and falls
   with it, so that an inbox that is dropped must be emptied first.
3. ``Inbox.mailbox`` is the mailbox from which the client's hooks are called, also during a move.
   ``Inbox.entries`` are ``mailbox.entries``, or ``move.later`` during a move; the C code appends
   there without asking why.
4. The beginning of a client comes before its messages, its end comes after them, and neither is ever
   dropped: each client with a ``client_connected`` gets its ``disconnected``.
5. A mailbox that has entries has been rung, so only a put into an empty one rings: the doorbell's time is that of
   the first entry.
6. One task at a time takes from a mailbox, and everything else is sync, so nothing needs a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from wsframe.connection.lead import ListenerBell
from wsframe.connection.memory_budget import MESSAGE_COST, Budget
from wsframe.protocol.events import PongReceived
from wsframe.speedups import accelerated

if TYPE_CHECKING:
    from wsframe.limits import Limits

__all__ = ["Backlog", "Inbox", "Mailbox", "Move", "take"]

OwnerT = TypeVar("OwnerT")
HostT = TypeVar("HostT")


class Backlog(Generic[OwnerT]):
    """The entries of a client that came while a hook of it waits, in a mailbox whose other clients go on."""

    __slots__ = ("entries", "since")

    def __init__(self) -> None:
        self.entries: deque[tuple[Inbox[OwnerT] | None, object]] = deque()
        self.since: float = 0.0
        """When the first of the entries came here."""

    def append(self, inbox: Inbox[OwnerT] | None, entry: object) -> None:
        """Add an entry."""
        if not self.entries:
            self.since = perf_counter()
        self.entries.append((inbox, entry))


NO_BACKLOGS: Mapping[Any, Backlog[Any]] = MappingProxyType({})


class Mailbox(Generic[OwnerT]):
    """The queue of the entries of one life of a resource.

    Args:
        budget: The server's.
    """

    __slots__ = ("backlogs", "budget", "doorbell", "entries", "posts", "wants_pongs")

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget: Budget = budget or Budget()
        self.entries: deque[tuple[Inbox[OwnerT] | None, object]] = deque()
        self.doorbell: ListenerBell = ListenerBell()
        self.wants_pongs: bool = True
        """Whether pongs are queued for a hook."""
        self.posts: int = 0
        """How many of the entries are posts."""
        self.backlogs: Mapping[Inbox[OwnerT] | None, Backlog[OwnerT]] = NO_BACKLOGS
        """By client; those of posts and calls are under None. With one order for all clients there is none."""

    def put(self, inbox: Inbox[OwnerT] | None, entry: object) -> None:
        """Queue an entry for the task that serves this mailbox."""
        rung = bool(self.entries)
        self.entries.append((inbox, entry))
        if not rung:
            self.doorbell.ring()

    def post(self, post: object, byte_count: int) -> None:
        """Queue a message of the resource's own code, which weighs this many bytes beside the cost of a message."""
        self.posts += 1
        self.budget.held += MESSAGE_COST + byte_count
        self.put(None, post)

    def took_post(self, byte_count: int) -> None:
        """Stop counting one post of this many bytes."""
        self.posts -= 1
        self.budget.held -= MESSAGE_COST + byte_count

    def next_entry(self, inbox: Inbox[OwnerT]) -> object:
        """Return the entry that a client's hooks get to next: if it is another one than before, they make progress."""
        entries = self.backlogs[inbox].entries if inbox in self.backlogs else self.entries
        return entries[0] if entries else None


class Move(Generic[HostT]):
    """The entries of a client that is between two resources. It also stands in the old mailbox, as an entry.

    Args:
        host: The life of the resource that the client goes to.
    """

    __slots__ = ("earlier", "host", "later")

    def __init__(self, host: HostT) -> None:
        self.host: HostT = host
        self.earlier: list[tuple[Any, object]] = []
        """Entries from before the move, which the old side's task found in its mailbox."""
        self.later: list[tuple[Any, object]] = []
        """Entries that came after the move began."""


class PausedReader(Protocol):
    """Reads from a client, unless the client is paused."""

    def resume(self) -> None: ...


class Inbox(Generic[OwnerT]):
    """One client's share of a mailbox, counted.

    Args:
        client: The owner.
        mailbox: The mailbox of the task that calls the client's hooks.
        limits: They say how large the share is.
        reader: Is told to resume when ``paused`` is set and nothing waits any more.
        budget: The server's.
    """

    __slots__ = (
        "budget",
        "byte_count",
        "client",
        "entries",
        "mailbox",
        "max_bytes",
        "max_messages",
        "move",
        "muted",
        "paused",
        "reader",
        "received",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        client: OwnerT,
        mailbox: Mailbox[OwnerT],
        limits: Limits,
        reader: PausedReader,
        budget: Budget,
    ) -> None:
        self.client: OwnerT = client
        self.mailbox: Mailbox[OwnerT] = mailbox
        self.entries: deque[tuple[Inbox[OwnerT] | None, object]] | list[tuple[Any, object]] = mailbox.entries
        """The queue that new entries go to."""
        self.move: Move[Any] | None = None
        """The move that the client is in; it stays if the client ends in it."""
        self.max_messages: int = limits.max_queued_messages
        self.max_bytes: int = limits.max_queued_bytes
        self.budget: Budget = budget
        self.reader: PausedReader = reader
        """An object, not a function: a method of each link would take 64 bytes a client."""
        self.waiting: int = 0
        """Messages and pongs that wait."""
        self.byte_count: int = 0
        """The bytes counted for them, until the last has been taken."""
        self.received: int = 0
        """Messages so far."""
        self.paused: bool = False
        self.muted: bool = False
        """Whether queued messages are to be dropped, because we ended the client."""

    def put(self, messages: Sequence[object], byte_count: int) -> None:
        """Queue the messages of one read, which weigh this many bytes beside the cost of each."""
        entries = self.entries
        count = len(messages)
        rung = bool(entries)
        if count == 1:
            entries.append((self, messages[0]))
        else:
            entries.extend([(self, message) for message in messages])
        self.waiting += count
        byte_count += MESSAGE_COST * count
        self.byte_count += byte_count
        self.budget.held += byte_count
        self.received += count
        if not rung:
            self.mailbox.doorbell.ring()

    def put_end(self, ended: object) -> None:
        """Queue the end of the client after its messages."""
        rung = bool(self.entries)
        self.entries.append((self, ended))
        if not rung:
            self.mailbox.doorbell.ring()

    def divert(self, entry: object) -> None:
        """Keep an entry of a client that is moving for the new side."""
        assert self.move is not None
        self.move.earlier.append((self, entry))

    def discard(self) -> None:
        """Drop the messages that wait; the beginning and the end of the client stay."""
        queues = [self.mailbox.entries, *(() if self.move is None else (self.move.earlier, self.move.later))]
        if self in self.mailbox.backlogs:
            queues.append(self.mailbox.backlogs[self].entries)
        for entries in queues:
            kept = [
                (owner, entry)
                for owner, entry in entries
                if owner is not self or not isinstance(entry, str | bytes | PongReceived)
            ]
            entries.clear()
            entries.extend(kept)
        self.waiting = 0
        self.took_last()

    def took_last(self) -> None:
        """Give back the bytes counted, and read on."""
        self.budget.held -= self.byte_count
        self.byte_count = 0
        if self.paused:
            self.reader.resume()

    def begin_move(self, move: Move[Any]) -> None:
        """Keep the entries that come from now on in a move, and queue it for the old side."""
        self.move = move
        self.entries = move.later
        self.mailbox.put(self, move)

    def end_move(self, move: Move[Any]) -> None:
        """Append the entries that waited to the new mailbox, in which the client's beginning stands already."""
        self.mailbox.entries += move.earlier
        self.mailbox.entries += move.later
        self.entries = self.mailbox.entries
        self.move = None

    @property
    def full(self) -> bool:
        """Whether the share is used up."""
        return self.waiting >= self.max_messages or self.byte_count >= self.max_bytes

    @property
    def wants_pongs(self) -> bool:
        """Whether pongs are queued; during a move they are, because the new side may want them."""
        return self.move is not None or self.mailbox.wants_pongs


@accelerated
def take(inbox: Inbox[OwnerT], message: object) -> OwnerT | None:
    """Count a message as taken out of a mailbox; return the client if its hook is to be called.

    A message of a client that is moving goes on waiting, for the new side.
    """
    if inbox.move is not None:
        inbox.divert(message)
        return None
    waiting = inbox.waiting = inbox.waiting - 1
    if not waiting:
        inbox.took_last()
    return None if inbox.muted else inbox.client
