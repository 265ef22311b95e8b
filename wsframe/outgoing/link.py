"""One outgoing connection: its socket, its protocol state, its queues, and its tasks.

A task that wants a message reads the socket itself (:meth:`OutgoingLink.read`), so that the message passes
through no other task: a switch of tasks costs as much as everything else that is done for a
short message. ``stand_in`` reads while no other task does, so that pings are answered and a
close is noticed, until the limit of waiting messages is reached.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable
from os import urandom

import trio

from wsframe.connection.closing import Closing
from wsframe.connection.memory_budget import MESSAGE_COST
from wsframe.connection.outbox import Outbox
from wsframe.connection.sender import Sender
from wsframe.doorbell import Doorbell
from wsframe.limits import Limits
from wsframe.log import Log, log_for, shortened
from wsframe.net.malloc import keep_freed_memory
from wsframe.net.transport import Transport
from wsframe.outgoing.leaving import OutgoingLeaving
from wsframe.outgoing.writer import Writer
from wsframe.protocol.close import State
from wsframe.protocol.closing import Phase
from wsframe.protocol.deadlines import PING_BYTES, Deadlines, Due
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflater
from wsframe.protocol.events import Event, sort_out
from wsframe.protocol.frames import PING, PONG

__all__ = ["Measured", "OutgoingLink"]

logger: Log = log_for(__name__)

# Seconds after a caller stopped reading before another task stands in: the caller usually comes back immediately.
ABSENCE = 0.05

# Room for the plaintext of one read, also where TLS within TLS hands on the rests of two records together.
RECEIVE_BUFFER = 128 * 1024

# One buffer for all connections of a run: a read fills and empties it without waiting.
shared_buffer: trio.lowlevel.RunVar[bytearray] = trio.lowlevel.RunVar("wsframe receive buffer")

# A server that sends faster than we read keeps all other tasks waiting for at most 1 MiB.
READS_IN_TURN = 8


class Measured:
    """A ping that waits for its pong."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.since: float = trio.current_time()
        self.latency: float | None = None


def buffer_of_run() -> bytearray:
    try:
        return shared_buffer.get()
    except LookupError:
        keep_freed_memory()
        shared_buffer.set(bytearray(RECEIVE_BUFFER))
        return shared_buffer.get()


class OutgoingLink:
    """One connection to a server: it has a transport, a decoder (``connection``), a sender with its outbox, a closing.

    Args:
        transport: The socket, after the 101.
        limits: No field may be at ``INHERIT``.
        connection: The receiving half.
        name: For log lines.
        deflater: Where compression was agreed on.
    """

    def __init__(
        self,
        transport: Transport,
        limits: Limits,
        connection: Decoder,
        name: str,
        deflater: Deflater | None = None,
    ) -> None:
        self.transport = transport
        self._buffer = buffer_of_run()
        self._view = memoryview(self._buffer)
        self.connection = connection
        self.deadlines: Deadlines = connection.deadlines
        self.name: str = shortened(name)
        self.timer: Doorbell = Doorbell()
        """Rings when the next deadline may be another one."""
        self.schedule: Callable[[], None] = self.timer.ring
        self.clock: Callable[[], float] = trio.current_time
        self.writer: Writer = Writer(self, limits.max_outbox, deflater)
        self.sender: Sender = Sender(self, self.writer)
        send = self.sender.send_encrypted if transport.secure else transport.send
        # Each message waits for room first, so the outbox has no limit of its own.
        self.outbox: Outbox = Outbox(send, self.sender, sys.maxsize, "disconnect", self.writer.flusher)
        self.leaving: OutgoingLeaving = OutgoingLeaving(self)
        self.closing: Closing = Closing(self, self.leaving)
        self.put_close: Callable[[bytes], None] = self.writer.put_close
        self.messages: deque[Event] = deque()
        """Messages that the user has not received yet."""
        self.pings: list[Measured] = []
        self._limits = limits
        self._byte_count = 0
        """Bytes counted for messages since the queue was last empty: at least those of the messages that wait."""
        self._reading = False
        self._away = False
        """Whether :meth:`stand_in` waits until a caller stops reading."""
        self._arrivals = trio.lowlevel.ParkingLot()
        self._absent = Doorbell()

    def __repr__(self) -> str:
        return f"<OutgoingLink {self.name}>"

    @property
    def done(self) -> bool:
        """Whether the socket is closed."""
        return self.closing.phase is Phase.GONE

    @property
    def full(self) -> bool:
        """Whether the limit of waiting messages is reached: nothing is read then. Once closing, they are discarded."""
        if not self.messages or self.connection.state is not State.OPEN:
            return False
        return (
            len(self.messages) >= self._limits.max_queued_messages or self._byte_count >= self._limits.max_queued_bytes
        )

    async def read(self) -> None:
        """Wait until the peer has sent something and take it in; if another task reads, until it has.

        If that task is cancelled the others go on, and one of them reads.
        """
        if self.done:
            await trio.lowlevel.checkpoint()
            return
        if self._reading or self.full:
            await self._arrivals.park()
            return
        if self.connection.stopped:  # first the bytes that are here, which the kernel will never announce
            await trio.lowlevel.checkpoint()
            self.decode(bytearray())
            return
        self._reading = True
        try:
            await self.transport.readable()
        except trio.ClosedResourceError:
            return
        finally:
            self._reading = False
            self.wake_readers()
        self.take_in()

    def wake_readers(self) -> None:
        self._arrivals.unpark_all()
        if self._away:
            self._away = False
            self._absent.ring()

    def take_in(self, *, announced: bool = True) -> None:
        """Receive and decode; ``announced`` if the kernel has reported something.

        It reads once, but within a large message again while more is likely: a wait for trio's
        report costs as much as reading 128 KiB.
        """
        for _ in range(READS_IN_TURN):
            more = not self.done and self._receive(announced)
            if not more or not self.connection.missing:
                return
            announced = False

    def _receive(self, announced: bool) -> bool:
        """Read once and decode; return whether there is likely to be more."""
        try:
            count = self.transport.recv_into(self._view)
        except BlockingIOError:
            if announced and self.transport.secure:  # part of a record: nothing to decode, but the peer lives
                self.deadlines.heard_at = trio.current_time()
            return False
        except OSError:
            self.closing.lost()
            return False
        self.deadlines.heard_at = trio.current_time()
        if self.transport.unsent:  # TLS answered something by itself
            self.sender.blocked(progress=False)
        if count:
            self.decode(self._buffer[:count])
        else:
            self.closing.lost()
        return count == RECEIVE_BUFFER or self.transport.secure  # a read of TLS never fills the buffer

    def decode(self, data: bytearray) -> None:
        """Decode bytes as far as there is room; empty to go on with the rest."""
        connection = self.connection
        events = connection.receive(data, self._limits.max_queued_messages - len(self.messages))
        if connection.special:
            events, pings, ended = sort_out(events, self._pong)
            if pings:
                self.sender.put_pongs([self.writer.control(PONG, payload) for payload in pings])
            if ended is not None:
                self.closing.note(ended)
            if self.outbox.items:
                self.writer.flush()
        self.messages.extend(events)
        self._byte_count += connection.byte_count + MESSAGE_COST * len(events)
        self.deadlines.paused = self.full

    def _pong(self, payload: bytes) -> bool:
        """Take a pong; none is for the user."""
        now = trio.current_time()
        if self.deadlines.take_pong(payload, now):
            self.schedule()
            return False
        # A pong answers its ping and those before it (RFC 6455 section 5.5.3).
        answered = max((at for at, ping in enumerate(self.pings, 1) if ping.payload == payload), default=0)
        for ping in self.pings[:answered]:
            ping.latency = now - ping.since
        del self.pings[:answered]
        return False

    def ping(self, payload: bytes) -> Measured:
        """Send a ping that a caller waits for."""
        if not self.outbox.put_urgent(self.writer.control(PING, payload)):
            raise self.leaving.closed()
        self.writer.flush()
        measured = Measured(payload)
        self.pings.append(measured)
        return measured

    def forget(self, ping: Measured) -> None:
        """Note that no caller waits for a ping any more."""
        if ping in self.pings:
            self.pings.remove(ping)

    def take(self) -> Event:
        """Take the first message that waits, and read again if that makes room."""
        message = self.messages.popleft()
        if not self.messages:
            self._byte_count = 0
        deadlines = self.deadlines
        if deadlines.paused and not self.full:
            deadlines.resume(trio.current_time())
            self.schedule()
            self.wake_readers()
        return message

    async def stand_in(self) -> None:
        """Read while no other task does, until the connection has ended."""
        while not self.done:
            if self._reading or self.full:
                self._away = True
                await self._absent.wait()
            await trio.sleep(ABSENCE)
            if not self._reading and not self.full:
                await self.read()

    async def watch(self) -> None:
        """Act on deadlines, until the connection has ended."""
        while not self.done:
            with trio.move_on_at(self.deadlines.next()):
                await self.timer.wait()
            for due in self.deadlines.due(trio.current_time()):
                self._act(due)

    def _act(self, due: Due) -> None:
        deadlines = self.deadlines
        if due is Due.PING:
            deadlines.sent_ping(urandom(PING_BYTES), trio.current_time())
            self.outbox.put_urgent(self.writer.control(PING, deadlines.ping_payload))
            self.writer.flush()
        elif due is Due.PING_TIMEOUT:
            self.take_in(announced=False)  # where the program was held up, the pong is in the kernel
            if Due.PING_TIMEOUT in deadlines.due(trio.current_time()):
                self.closing.abort("ping timeout")
        elif due is Due.WRITE_STALL:
            self.sender.check_stall()
        elif due is Due.CLOSE:
            self.closing.overdue()

    async def finished(self) -> None:
        """Wait until the socket is closed."""
        while not self.done:
            await self.read()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Run the connection's tasks until it has ended; the caller must end it, also when it is cancelled itself."""
        # A shield: the timeouts also hold for users who close inside a shield of their own.
        with trio.CancelScope(shield=True):
            await self._run()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._guard, self.writer.run)
            nursery.start_soon(self._guard, self.stand_in)
            await self._guard(self.watch)
            nursery.cancel_scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def _guard(self, task: Callable[[], Awaitable[None]]) -> None:
        """Give up the connection if a task of ours fails; other connections go on. Ctrl-C is for the user's tasks."""
        try:
            await task()
        except Exception:
            logger.exception("%s: internal error; the connection is aborted", self.name)
            self.closing.abort("internal error")
