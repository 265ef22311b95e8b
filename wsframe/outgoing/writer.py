"""The sending side of one outgoing connection: messages become frames, and frames go to the kernel without waiting.

A message is queued whole or not at all. Bytes that the kernel does not take at once stay in the
outbox, even when the task that queued them is cancelled: a task of the connection, or the next
sender, goes on at the very byte.
"""

from __future__ import annotations

from typing import Protocol

import trio

from wsframe.connection.flusher import Flusher
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.connection.outbox import Outbox
from wsframe.connection.sender import Sender
from wsframe.doorbell import Doorbell
from wsframe.net.transport import Transport
from wsframe.protocol.deflate import Deflater
from wsframe.protocol.frames import RSV1, control_frame
from wsframe.protocol.masking import Masker

__all__ = ["Writer", "WriterLink"]


class WriterLink(Protocol):
    """A link, as far as its writer needs it."""

    transport: Transport
    outbox: Outbox
    sender: Sender

    def schedule(self) -> None: ...


class Writer:
    """The way of messages from the tasks of the user to the transport.

    Args:
        link: Has its outbox and its sender before the first message.
        max_outbox: Bytes that can wait before a sender does.
        deflater: Where compression was agreed on.
    """

    def __init__(self, link: WriterLink, max_outbox: int, deflater: Deflater | None) -> None:
        self._link = link
        self.flusher: Flusher = Flusher()
        self.flusher.in_turn = True  # each message is flushed by itself: no doorbell need ring
        self._max_outbox = max_outbox
        self.deflater = deflater
        self._masker = Masker()
        self._room = trio.lowlevel.ParkingLot()
        self._queue = trio.StrictFIFOLock()
        self._refused = Doorbell()

    def _has_room(self, byte_count: int) -> bool:
        outbox = self._link.outbox
        return not outbox.items or outbox.counted + byte_count + FRAME_COST <= self._max_outbox

    async def room_for(self, byte_count: int) -> bool:
        """Wait until a message can be queued, in order of arrival; an empty outbox takes a message of any size.

        Returns:
            Whether it can; False if nothing more can be sent.
        """
        if self._queue.locked() or not self._has_room(byte_count):
            async with self._queue:
                while not self._has_room(byte_count) and not self._link.outbox.shut:
                    await self._room.park()
        return not self._link.outbox.shut

    def put(self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None) -> None:
        """Encode a message, queue it, and hand the kernel as much as it takes."""
        deflater = self.deflater
        if deflater is not None and deflater.wanted(payload, compress):
            packed = deflater.compress(payload)
            if packed is not None:
                opcode, payload = opcode | RSV1, packed
        if frame_size is None:
            self._link.outbox.put(self._masker.message(opcode, payload))
        else:
            self._link.outbox.put_run(self._masker.fragments(opcode, payload, frame_size))
        self.flush()

    def control(self, opcode: int, payload: bytes) -> bytes:
        """Encode a ping or pong."""
        return self._masker.mask(control_frame(opcode, payload))

    def put_close(self, frame: bytes) -> None:
        """Queue a close frame after everything, and hand the kernel as much as it takes."""
        self._link.outbox.put_close(self._masker.mask(frame))
        self.flush()
        self._room.unpark_all()

    def flush(self) -> None:
        """Hand the kernel as much as it takes."""
        self._link.outbox.flush()
        self.flusher.dirty.clear()

    def await_room(self, *, wanted: bool) -> None:
        """Have :meth:`run` go on when the kernel takes bytes; tasks that wait for room look again."""
        if wanted:
            self._refused.ring()
        else:
            self._room.unpark_all()
            self._link.schedule()

    async def run(self) -> None:
        """Send the bytes that the kernel did not take, until cancelled."""
        while True:
            await self._refused.wait()
            while self._link.sender.unsent:
                try:
                    await self._link.transport.writable()
                    self._link.sender.writable()
                    self.flusher.dirty.clear()
                except trio.ClosedResourceError:
                    self._link.sender.broken()
                self._room.unpark_all()
            self._room.unpark_all()  # a ping or another message may have taken the rest along
