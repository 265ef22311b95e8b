"""The sending side of one outgoing connection: messages become frames, and frames go to the kernel without waiting.

A message is queued whole or not at all. Bytes that the kernel does not take at once stay in the
outbox, even when the task that queued them is cancelled: a task of the connection, or the next
sender, goes on at the very byte.
"""

from __future__ import annotations

import sys
from typing import Protocol

import trio

from wsframe.connection.flusher import Flusher
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.connection.outbox import Outbox
from wsframe.doorbell import Doorbell
from wsframe.net.transport import Transport
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflater
from wsframe.protocol.frames import PONG, RSV1, control_frame
from wsframe.protocol.masking import Masker

__all__ = ["Sender", "SendingLink"]


class SenderEnd(Protocol):
    """The end of a link, as far as its sender needs it."""

    def closed(self) -> ConnectionClosed: ...
    def abort(self, reason: str) -> None: ...
    def all_sent(self) -> None: ...


class SendingLink(Protocol):
    """A link, as far as its sender needs it."""

    transport: Transport
    connection: Decoder
    timer: Doorbell

    @property
    def closing(self) -> SenderEnd: ...


class Sender:
    """The sending side of one link: from the messages of its users to the transport.

    Args:
        link: Has its transport and its connection by now; asked for the others later.
        max_outbox: Bytes that may wait before a sender does.
        deflater: Where compression was agreed on.
    """

    def __init__(self, link: SendingLink, max_outbox: int, deflater: Deflater | None) -> None:
        self._link = link
        self._transport = link.transport
        self._deadlines = link.connection.deadlines
        self.deflater = deflater
        self._max_outbox = max_outbox
        self._masker = Masker()
        self._flusher = Flusher()
        self._flusher.in_turn = True  # each send flushes for itself: no doorbell need ring
        # Each send waits for room first, so the outbox has no limit of its own.
        self.outbox = Outbox(link.transport.send, self, sys.maxsize, "disconnect", self._flusher)
        self._room = trio.lowlevel.ParkingLot()
        self._queue = trio.StrictFIFOLock()
        self._refused = Doorbell()

    def __repr__(self) -> str:
        return f"<Sender of {self._link!r}>"

    @property
    def unsent(self) -> bool:
        """Whether anything waits for the kernel."""
        return bool(self.outbox.items) or self._transport.unsent

    def _has_room(self, octets: int) -> bool:
        outbox = self.outbox
        return not outbox.items or outbox.counted + octets + FRAME_COST <= self._max_outbox

    async def room_for(self, octets: int) -> None:
        """Wait until a message may be queued, in order of arrival; an empty outbox takes a message of any size.

        Raises:
            ConnectionClosed: If nothing more can be sent.
        """
        if self._queue.locked() or not self._has_room(octets):
            async with self._queue:
                while not self._has_room(octets) and not self.outbox.shut:
                    await self._room.park()
        if self.outbox.shut:
            raise self._link.closing.closed()

    def put(self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None) -> None:
        """Encode a message, queue it, and hand the kernel as much as it takes."""
        deflater = self.deflater
        if deflater is not None and deflater.wanted(payload, compress):
            packed = deflater.compress(payload)
            if packed is not None:
                opcode, payload = opcode | RSV1, packed
        if frame_size is None:
            self.outbox.put(self._masker.message(opcode, payload))
        else:
            self.outbox.put_run(self._masker.fragments(opcode, payload, frame_size))
        self.flush()

    def put_urgent(self, opcode: int, payload: bytes) -> bool:
        """Queue a ping or pong for the next frame boundary; return whether it was queued."""
        return self.outbox.put_urgent(self._masker.mask(control_frame(opcode, payload)))

    def put_pongs(self, pings: list[bytes]) -> None:
        """Queue the pongs of one read, as one piece: each urgent frame walks past those before it."""
        if self.outbox.blocked:
            del pings[:-1]
        pongs = [self._masker.mask(control_frame(PONG, payload)) for payload in pings]
        if pongs:
            self.outbox.put_urgent(b"".join(pongs))

    def put_close(self, frame: bytes) -> None:
        """Queue a close frame after everything, and hand the kernel as much as it takes."""
        self.outbox.put_close(self._masker.mask(frame))
        self.flush()
        self._room.unpark_all()

    def flush(self) -> None:
        """Hand the kernel as much as it takes."""
        before = self.outbox.octets_sent
        self.outbox.flush()
        self._flusher.dirty.clear()
        if self._transport.unsent:  # more is taken only when all ciphertext before it has gone
            self.blocked(progress=self.outbox.octets_sent > before)

    def blocked(self, *, progress: bool) -> None:
        """Note that the kernel refuses bytes: :meth:`write` goes on."""
        self._deadlines.block(trio.current_time(), self._transport.in_kernel(), progress=progress)
        self._refused.ring()
        self._link.timer.ring()

    def unblocked(self) -> None:
        """Note that the kernel has taken everything."""
        if self.unsent:
            return
        self._deadlines.unblock(trio.current_time())
        self._link.timer.ring()

    def overflowed(self) -> None:
        """Give up; the outbox has no limit that could call this."""
        self._link.closing.abort("outbox full")

    def broken(self) -> None:
        """Send no more. Bytes that the peer sent before it went are still read; its end shows there."""
        self.give_up()
        self.emptied()

    def give_up(self) -> None:
        """Drop everything that waits, and wake the tasks that wait for room."""
        self.outbox.give_up()
        self._transport.drop_unsent()  # or :meth:`write` would try without an end
        self._deadlines.blocked_at = None
        self._room.unpark_all()

    def check_stall(self) -> None:
        """Reset the connection to a peer that takes nothing."""
        if self._deadlines.stalled(trio.current_time(), self._transport.in_kernel()):
            self._link.closing.abort("write stall")

    async def write(self) -> None:
        """Send the bytes that the kernel did not take, until cancelled."""
        while True:
            await self._refused.wait()
            while self.unsent:
                try:
                    await self._transport.writable()
                    self.go_on()
                except (OSError, trio.ClosedResourceError):
                    self.broken()
                self._room.unpark_all()
            self._room.unpark_all()  # a ping or another message may have taken the rest along

    def go_on(self) -> None:
        """Hand over more: the kernel has room."""
        if not self._transport.pump():
            self.blocked(progress=True)
        elif self.outbox.items:
            self.flush()
        else:
            self.unblocked()
            self.emptied()

    def emptied(self) -> None:
        """Go on with an end that waits for the outbox."""
        self._link.closing.all_sent()
