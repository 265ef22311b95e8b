"""One task for all sockets: poll, read, hand on; and the two that help it.

How it works. A nursery runs three tasks over one :class:`~wsframe.connection.loop.Loop`:

* The *reactor* waits, through trio, until its own poller has something to report. Then it takes one batch:
  it asks the poller which sockets are ready, reads once from each of them into one shared buffer, and puts
  the decoded messages into mailboxes. Two passes of trio's scheduler serve a whole batch, so the busier
  the server, the larger its batches and the less a message costs. In C, ``receive_ready`` does this work
  for all links that need nothing else, and returns the others.
* The *attendant* wakes by the flusher's doorbell. It flushes for tasks that do not flush themselves, goes on
  with links whose share of a turn was used up, and resets clients when all together exceed the budget.
* The *timer* sleeps until the next deadline of any connection. So waiting for messages needs no timeout,
  and a message schedules nothing: it only notes the time at which the peer was heard. A deadline that comes
  earlier than all others, as each end brings one, moves the deadline of the scope in which the timer sleeps; the
  task itself has no turn for it.

The rules that hold between them:

1. A link is in ``loop.links`` exactly as long as the poller watches its socket. The one place that removes
   it is ``Loop.forget``, which also takes its deadlines out of the pool.
2. The reactor reads at most once from a socket in a turn. Bytes that remain make the poller report the
   socket again, because it is level-triggered; nothing is lost, and no client has two turns while others wait.
3. Bytes that were read but not decoded, because the link's turn was over, are the attendant's: until it has
   gone on with them, nothing more is read from that link.
4. A deadline never passes unread bytes. If the timer wakes late, the process was held up and peers could
   not be heard: it sleeps once more, so that the reactor reads first, and acts only then.
5. A hook hears of its client before the client's messages: ``adopt`` welcomes the client before it decodes
   the bytes that followed the request.
6. An error of our own costs the link on which it happened (``Link.crashed``), and no other. Only
   cancellation and KeyboardInterrupt, which :func:`~wsframe.user_code.errors.contain` raises again, end the task.
7. No user code runs here, except ``check_message``, and nothing here waits for a hook or for a peer. A listener
   reads in the reactor's place only while no hook of it runs (``lead``).
8. When the reactor ends, for whatever reason, every link is aborted and the poller is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context

import trio

from wsframe.connection.flusher import Flusher, flushing
from wsframe.connection.interfaces import Arrival
from wsframe.connection.lead import Lead
from wsframe.connection.link import Link
from wsframe.connection.loop import Loop
from wsframe.connection.mailbox import Inbox, Mailbox
from wsframe.connection.memory_budget import Budget
from wsframe.connection.outbox import Outbox
from wsframe.connection.spinning import spinning
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.net.malloc import keep_freed_memory
from wsframe.net.poller import END, GONE, READ, PollerChoice, make_poller
from wsframe.protocol.deadlines import Deadlines
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.frames import LargeFrame
from wsframe.protocol.pool import ConnectionPool
from wsframe.speedups import check_attributes, shortcut
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["Reactor"]

logger: Log = log_for(__name__)

# After a hook that blocked, or a machine that slept, deadlines of well-behaved peers have passed. Their bytes are
# read first. The timer wakes up this many seconds late for no other reason, and reading gets this many seconds.
HELD_UP = 0.5
CATCH_UP = 1.0


# The attributes that the C code reads and writes by name; a rename that forgets it is an ImportError.
READ_BY_C: dict[type, str] = {
    Link: "connection inbox raw_fd bytes_received crashed lost buckets note_undecoded",
    Decoder: "state deadlines undecoded _engine _held _lane_limit _payload _wanted",
    Deadlines: "heard_at",
    Inbox: "budget client divert entries mailbox max_messages max_bytes move muted byte_count paused received "
    "took_last waiting",
    Mailbox: "doorbell",
    deque: "append",
    list: "append",
    Doorbell: "ring",
    Budget: "held limit",
    Flusher: "in_turn thread",
    Outbox: "blocked drained flush items messages_sent byte_count bytes_sent put raw_fd shut "
    "_dirty _few _flusher _latest _offset _small",
    LargeFrame: "header payload",
}
check_attributes(READ_BY_C)


def nothing_received(
    ready: list[tuple[int, int]], links: dict[int, Link], buffer: bytearray, now: float
) -> list[tuple[Link, int, bytearray | None]]:
    """Return every link that is ready, for Python to read.

    In its place C reads the sockets, decodes and queues messages, and returns only the links
    that need Python: a control frame, a fragment, compression, an error, the end.

    Args:
        ready: Descriptors and flags, from the poller.
        links: By descriptor.
        buffer: For one read.
        now: The time at which the peers were heard.

    Returns:
        Links with something left to do: their flags, and the bytes already read for them, if any.
    """
    return [(links[fd], flags, None) for fd, flags in ready if fd in links]


receive_ready: Callable[
    [list[tuple[int, int]], dict[int, Link], bytearray, float], list[tuple[Link, int, bytearray | None]]
] = shortcut("receive_ready", nothing_received)


class Reactor:
    """All connected sockets of one server.

    Args:
        pool: The connections and their deadlines.
        poller: Which poller to use.
        max_queued_bytes: The bytes that the server can hold for all clients together.
    """

    def __init__(self, pool: ConnectionPool[int], poller: PollerChoice, max_queued_bytes: int) -> None:
        self.loop: Loop[Link] = Loop(pool, max_queued_bytes)
        self.links: dict[int, Link] = self.loop.links
        self.flusher: Flusher = self.loop.flusher
        self.budget: Budget = self.loop.budget
        self.newcomers: dict[int, Callable[[int], None]] = {}
        """Callbacks for newcomers that leave while the server decides about them, by descriptor."""
        self._poller_choice: PollerChoice = poller
        self.lead: Lead = Lead(self.flusher, self._read_ready)
        self._context = copy_context()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the sockets until cancelled."""
        keep_freed_memory()
        async with ProtectedNursery() as nursery:
            poller = self.loop.poller = self.lead.poller = make_poller(self._poller_choice, nursery.nursery)
            self.lead.spins = spinning(poller)
            self._context = copy_context()
            try:
                nursery.start_soon(self._attend, again=True)
                nursery.start_soon(self._watch_deadlines, again=True)
                nursery.start_soon(self._turn, again=True)
                task_status.started()
                await trio.sleep_forever()
            finally:
                self.abort_all()
                self.newcomers.clear()
                self.lead.bell = self.lead.at_poller = None  # nobody wakes a closed poller, or leads at it
                poller.close()

    async def _turn(self) -> None:
        await flushing(self._turn_for_ever(), self.flusher)

    async def _turn_for_ever(self) -> None:
        poller, lead = self.loop.poller, self.lead
        while True:
            await poller.wait()
            lead.times_rung = 0
            self._read_ready()
            if lead.offer():
                await lead.until_returned()

    def _read_ready(self, ready: list[tuple[int, int]] | None = None) -> None:
        """Read all sockets that are ready, in the task that leads."""
        loop = self.loop
        loop.now = loop.clock()
        if ready is None:
            ready = loop.poller.poll()
        if self.newcomers:
            self._tell_of_leavers(ready)
        rest = receive_ready(ready, self.links, loop.buffer, loop.now)
        if rest:
            self._context.run(self._turn_each, rest)

    def _turn_each(self, rest: list[tuple[Link, int, bytearray | None]]) -> None:
        for link, flags, received in rest:
            try:
                if received is not None:
                    link.take(received)
                else:
                    link.turn(flags)
            except BaseException as error:
                contain(error)
                link.crashed(error)

    async def _attend(self) -> None:
        async def attend() -> None:
            while True:
                await self.flusher.doorbell.wait()
                if self.budget.exceeded:
                    self.relieve()
                again = self.loop.again[:]
                self.loop.again.clear()
                for link in again:
                    link.go_on()
                    await trio.lowlevel.checkpoint()

        await flushing(attend(), self.flusher)

    async def _watch_deadlines(self) -> None:
        loop = self.loop

        async def watch() -> None:
            while True:
                with trio.CancelScope(deadline=loop.pool.next_deadline()) as alarm:
                    loop.pool.alarm = alarm
                    await trio.sleep_forever()
                if loop.clock() > alarm.deadline + HELD_UP:
                    await trio.sleep(CATCH_UP)
                self.sweep()

        await flushing(watch(), self.flusher)

    def relieve(self) -> None:
        """Reset the clients that make the server hold most, until the budget is kept."""
        for link in sorted({*self.links.values(), *self.loop.departed}, key=lambda link: link.held, reverse=True):
            if not self.budget.exceeded or not link.held:
                break
            logger.warning("%s: reset, because all clients together exceed max_queued_bytes", link.name)
            link.abort("server out of memory", mute=True)
            link.inbox.discard()  # the hooks may not reach it soon, and the next client would pay for it

    def sweep(self) -> None:
        """Act on every deadline that has passed."""
        for fd, dues in self.loop.pool.sweep(self.loop.clock()):
            link = self.links.get(fd)
            if link is None:  # check_message, which sees messages decoded after a pause, has ended it
                continue
            try:
                link.due(dues)
            except BaseException as error:
                contain(error)
                link.crashed(error)

    def look_out(self, fd: int, leaves: Callable[[int], None]) -> None:
        """Watch a newcomer's socket for the end of its peer, and then call ``leaves`` with the poller's flags."""
        self.loop.poller.watch(fd, END)
        self.newcomers[fd] = leaves

    def look_away(self, fd: int) -> None:
        """Watch a newcomer's socket no more."""
        if self.newcomers.pop(fd, None) is not None:
            self.loop.poller.forget(fd)

    def _tell_of_leavers(self, ready: list[tuple[int, int]]) -> None:
        for fd, flags in ready:
            leaves = self.newcomers.get(fd)
            if leaves is None:
                continue
            if flags & GONE:
                self.look_away(fd)
            else:
                self.loop.poller.watch(fd, 0)  # it would be reported without end
            leaves(flags)

    def adopt(self, arrival: Arrival, trailing: bytes) -> Link:
        """Take over a newcomer's socket; the hooks see the client first, then its messages.

        Args:
            arrival: The newcomer.
            trailing: The bytes that it sent after its request.
        """
        loop = self.loop
        loop.now = loop.clock()
        assert arrival.transport.sock is not None
        fd = arrival.transport.sock.fileno()
        loop.poller.add(fd, READ)  # first: the kernel may refuse
        try:
            link = Link(arrival, loop)
            loop.links[link.fd] = link
            loop.pool.add(link.fd, link.connection)
        except BaseException:  # a link that stayed would be waited for when the server ends
            loop.links.pop(fd, None)
            loop.pool.remove(fd)
            loop.poller.forget(fd)
            raise
        arrival.host.welcome(link.inbox)  # before its messages
        if trailing:
            link.bytes_received = len(trailing)
            try:
                link.take(bytearray(trailing))
            except BaseException as error:
                contain(error)
                link.crashed(error)
        return link

    async def until_empty(self) -> None:
        """Wait until every link is gone."""
        await self.loop.until_empty()

    def close_all(self, links: Iterable[Link], code: int, reason: str) -> None:
        """Send the clients of links a close frame."""
        for link in links:
            try:
                link.close(code, reason)
            except BaseException as error:
                contain(error)
                link.crashed(error)

    def abort_all(self) -> None:
        """Reset every connection, because the server has stopped."""
        for link in tuple(self.links.values()):
            link.abort("server stopped", mute=False)
