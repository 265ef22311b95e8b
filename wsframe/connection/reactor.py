"""One task for all sockets: poll, read, hand on; and the two that help it.

The reactor waits for the poller, reads once from every ready socket and puts what came
into the mailboxes. The attendant flushes for tasks that do not flush themselves and goes
on with links whose share of a turn was used up. The timer sleeps until the next deadline
of any connection, so that waiting for messages needs no timeout of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

import trio

from wsframe.connection.flusher import Flusher, flushing
from wsframe.connection.handover import Arrival
from wsframe.connection.link import RECEIVE_BUFFER, Link
from wsframe.connection.mailbox import Inbox, Mailbox
from wsframe.connection.memory_budget import Budget
from wsframe.connection.outbox import Outbox
from wsframe.doorbell import Doorbell
from wsframe.log import logger
from wsframe.net.malloc import keep_freed_memory
from wsframe.net.poller import END, GONE, READ, Poller, PollerChoice, make_poller
from wsframe.protocol.deadlines import Deadlines
from wsframe.protocol.decoder import Connection
from wsframe.protocol.frames import LargeFrame
from wsframe.protocol.pool import ConnectionPool
from wsframe.speedups import check_attributes, shortcut
from wsframe.user_code import contain

__all__ = ["Reactor"]

# A hook that blocked, a machine that slept: deadlines have passed of peers that did all they should. What they sent
# is read first. So much later than asked for the timer wakes up for no other reason, and so long reading has.
HELD_UP = 0.5
CATCH_UP = 1.0


# The attributes that the C code reads and writes by name; a rename that forgets it is an ImportError.
READ_BY_C: dict[type, str] = {
    Link: "connection inbox raw_fd octets_received crashed lost _buckets _note_undecoded",
    Connection: "state deadlines undecoded _engine _held _lane_limit _payload _wanted",
    Deadlines: "heard_at",
    Inbox: "budget mailbox max_messages max_octets muted octets received waiting",
    Mailbox: "entries doorbell",
    deque: "append",
    Doorbell: "ring",
    Budget: "held limit",
    Outbox: "blocked drained flush items octets octets_sent raw_fd shut _latest _offset",
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


receive_ready = shortcut("receive_ready", nothing_received)


class Reactor:
    """All connected sockets of one server.

    Args:
        pool: The connections and their deadlines.
        poller: Which poller to use.
        max_queued_bytes: What all clients together may make the server hold.
    """

    def __init__(self, pool: ConnectionPool[int], poller: PollerChoice, max_queued_bytes: int) -> None:
        self.pool = pool
        self.budget = Budget(max_queued_bytes)
        self.flusher = Flusher(self.budget)
        self.links: dict[int, Link] = {}
        self.newcomers: dict[int, Callable[[int], None]] = {}
        """Who is to be told that a newcomer's peer has gone while it is being decided about, by descriptor."""
        self.departed: set[Link] = set()
        """Links that are gone, with messages that their hooks have not got to."""
        self.again: list[Link] = []
        """Links with octets left to decode and room to do so."""
        self.octets_sent_before = 0
        """Octets sent to clients that are gone."""
        self.octets_received_before = 0
        """Octets received from them."""
        self.buffer = bytearray(RECEIVE_BUFFER)
        self.view = memoryview(self.buffer)
        self.clock = trio.current_time
        self.now = trio.current_time()
        """The time at the beginning of the current batch."""
        self.emptied = Doorbell()
        """Rings whenever a link is gone."""
        self.poller: Poller
        self._poller_choice: PollerChoice = poller
        self._alarm = Doorbell()
        self._alarm_at = inf

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the sockets until cancelled."""
        keep_freed_memory()
        async with trio.open_nursery() as nursery:
            self.poller = make_poller(self._poller_choice, nursery)
            try:
                nursery.start_soon(self._attend)
                nursery.start_soon(self._watch_deadlines)
                task_status.started()
                await flushing(self._turn_for_ever(), self.flusher)
            finally:
                self.abort_all("server stopped")
                self.newcomers.clear()
                self.poller.close()

    async def _turn_for_ever(self) -> None:
        while True:
            await self.poller.wait()
            self.now = self.clock()
            ready = self.poller.poll()
            if self.newcomers:
                self._tell_of_leavers(ready)
            for link, flags, received in receive_ready(ready, self.links, self.buffer, self.now):
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
                again = self.again[:]
                self.again.clear()
                for link in again:
                    link.go_on()
                    await trio.lowlevel.checkpoint()

        await flushing(attend(), self.flusher)

    async def _watch_deadlines(self) -> None:
        async def watch() -> None:
            while True:
                self._alarm_at = self.pool.next_deadline()
                with trio.CancelScope(deadline=self._alarm_at):
                    await self._alarm.wait()
                if self.clock() > self._alarm_at + HELD_UP:
                    await trio.sleep(CATCH_UP)
                self.sweep()

        await flushing(watch(), self.flusher)

    def relieve(self) -> None:
        """Reset the clients that make the server hold most, until the budget is kept."""
        for link in sorted({*self.links.values(), *self.departed}, key=lambda link: link.held, reverse=True):
            if not self.budget.exceeded or not link.held:
                break
            logger.warning("%s: reset, because all clients together exceed max_queued_bytes", link.name)
            link.abort("server out of memory", mute=True)
            link.inbox.discard()  # the hooks may not get to it soon, and the next in line would pay for it

    def sweep(self) -> None:
        """Act on every deadline that has passed."""
        for fd, dues in self.pool.sweep(self.clock()):
            link = self.links.get(fd)
            if link is None:  # check_message, which is asked about what is decoded after a pause, has ended it
                continue
            try:
                link.due(dues)
            except BaseException as error:
                contain(error)
                link.crashed(error)

    def schedule(self, fd: int) -> None:
        """Have a link's deadlines looked at anew; the timer wakes earlier if need be."""
        if self.pool.schedule(fd) < self._alarm_at:
            self._alarm.ring()

    def look_out(self, fd: int, leaves: Callable[[int], None]) -> None:
        """Watch a newcomer's socket for the end of its peer, of which ``leaves`` is told by the poller's flags."""
        self.poller.watch(fd, END)
        self.newcomers[fd] = leaves

    def look_away(self, fd: int) -> None:
        """Watch a newcomer's socket no more."""
        if self.newcomers.pop(fd, None) is not None:
            self.poller.forget(fd)

    def _tell_of_leavers(self, ready: list[tuple[int, int]]) -> None:
        for fd, flags in ready:
            leaves = self.newcomers.get(fd)
            if leaves is None:
                continue
            if flags & GONE:
                self.look_away(fd)
            else:
                self.poller.watch(fd, 0)  # it would be reported without end
            leaves(flags)

    def adopt(self, arrival: Arrival, trailing: bytes) -> Link:
        """Take over a newcomer's socket; the hooks hear of the client first, then of its messages.

        Args:
            arrival: The newcomer.
            trailing: What it sent behind its request.
        """
        self.now = self.clock()
        fd = arrival.sock.fileno()
        self.poller.watch(fd, READ)  # first: the kernel may refuse
        try:
            link = self.links[fd] = Link(arrival, self)
            if self.pool.add(fd, link.connection) < self._alarm_at:
                self._alarm.ring()
        except BaseException:  # a link that stayed would be waited for when the server ends
            self.links.pop(fd, None)
            self.pool.remove(fd)
            self.poller.forget(fd)
            raise
        arrival.host.welcome(link.inbox)  # ahead of its messages
        if trailing:
            link.octets_received = len(trailing)
            try:
                link.take(bytearray(trailing))
            except BaseException as error:
                contain(error)
                link.crashed(error)
        return link

    def forget(self, fd: int) -> None:
        """Drop the link whose socket is about to be closed."""
        self.poller.forget(fd)
        del self.links[fd]
        self.pool.remove(fd)
        self.emptied.ring()

    @property
    def octets_sent(self) -> int:
        """Octets sent to all clients so far; this walks through them."""
        return self.octets_sent_before + sum(link.outbox.octets_sent for link in self.links.values())

    @property
    def octets_received(self) -> int:
        """Octets received from all clients so far; this walks through them."""
        return self.octets_received_before + sum(link.octets_received for link in self.links.values())

    async def until_empty(self) -> None:
        """Wait until every link is gone."""
        while self.links:
            await self.emptied.wait()

    def close_all(self, code: int, reason: str) -> None:
        """Send every client a close frame."""
        for link in tuple(self.links.values()):
            link.close(code, reason)

    def abort_all(self, reason: str) -> None:
        """Reset every connection."""
        for link in tuple(self.links.values()):
            link.abort(reason, mute=False)
