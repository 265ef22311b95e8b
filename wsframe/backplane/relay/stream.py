"""One unix stream of frames, written and read in whole batches.

The bytes that wait to be written are bounded, and writing is a task of its own: a caller that has a frame to
send never waits. To wake that task costs a turn of the event loop, so bytes that the kernel takes at once go past it:
at the end of a turn of the loop, its :class:`WriteTurn` writes all frames that were queued in it together. The task
writes the rest, and to streams that are not sockets.

A frame alone could be written by the call that queues it. Measured, it arrives no sooner: the rest of the turn then
keeps its reader from running.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final

import trio

from wsframe.backplane.queue import LIMIT
from wsframe.backplane.relay.frames import FrameReader, RelayFrame
from wsframe.doorbell import Doorbell

__all__ = ["READ", "Outgoing", "WriteTurn", "read_all", "read_frames"]

READ = 256 << 10
"""Bytes of one read."""
DIRECT: Final = os.name == "posix"
"""Whether os.read and os.write know sockets."""


class WriteTurn(trio.abc.Instrument):
    """The work of a loop between two waits: the streams that it has filled are written to at the end.

    A loop of our own enters it for each turn. In trio's loop it is an instrument, which trio calls before each wait.
    """

    def __init__(self) -> None:
        self.running: bool = False
        """Whether its end comes, and writes."""
        self._filled: dict[Outgoing, None] = {}

    def __enter__(self) -> None:
        self.running = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.running = False
        self._end()

    @contextmanager
    def of_trio(self) -> Iterator[None]:
        """Make each turn of trio's loop one of these, in the body."""
        trio.lowlevel.add_instrument(self)
        self.running = True
        try:
            yield
        finally:
            self.running = False
            self._end()
            with suppress(KeyError):  # trio has removed it, because it failed
                trio.lowlevel.remove_instrument(self)

    def before_io_wait(self, timeout: float) -> None:
        """End a turn of trio's loop."""
        if self._filled:
            self._end()

    def _end(self) -> None:
        filled, self._filled = self._filled, {}
        for outgoing in filled:
            outgoing.write_now()

    def note(self, outgoing: Outgoing) -> None:
        """Have a stream written to."""
        self._filled[outgoing] = None


class Outgoing:
    """The frames that wait to be written to a stream.

    Args:
        limit: Bytes beyond which ``put`` refuses a frame.
        more: Returns bytes that wait elsewhere, to be written after the frames.
        turn: Its end writes, while it runs; None has the task write all.
        blocked: Called at the end of a turn when more waits than the kernel takes now, and when frames come while
            that is so; None has the task go on.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        more: Callable[[], bytes] | None = None,
        turn: WriteTurn | None = None,
        blocked: Callable[[], object] | None = None,
    ) -> None:
        self._limit = limit
        self._more = more
        self._turn = turn
        self._frames: list[bytes] = []
        self._bytes = 0
        self._rest = b""
        """Bytes that the kernel did not take at once; they come before the frames."""
        self._idle = -1
        """The descriptor of the stream, while nothing waits to be written and calls can write; else -1."""
        self._fault: Exception | None = None
        """Raised by bytes that wait elsewhere and cannot be made."""
        self._sent: Callable[[], object] | None = None
        self.doorbell: Doorbell = Doorbell()
        self._blocked = blocked or self.doorbell.ring
        self._blocked_at_end = blocked or self._wake_at_end

    def put(self, data: bytes) -> bool:
        """Queue a frame; return False if there is no room."""
        if not self.has_room(len(data)):
            return False
        self.force(data)
        return True

    def has_room(self, size: int) -> bool:
        """Return whether there is room for a frame of that many bytes."""
        return not self._bytes or self._bytes + size <= self._limit

    def force(self, data: bytes) -> None:
        """Queue a frame that is small and must not be lost, also beyond the limit."""
        self._frames.append(data)
        self._bytes += len(data)
        self.ring()

    def ring(self) -> None:
        """Have everything written that waits: at the end of the turn, or by the task."""
        if self._idle >= 0 and self._turn is not None and self._turn.running:
            self._turn.note(self)
        else:
            self._blocked()

    def take(self) -> bytes:
        """Return all that waits; it waits no longer."""
        frames = self._frames
        if not frames:
            return b"" if self._more is None else self._more()
        if self._more is not None:
            frames.append(self._more())
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self._bytes = 0
        return data

    def write_now(self) -> None:
        """At the end of a turn, write the bytes that wait, as many as the kernel takes; the task writes the rest."""
        if not self._write_now():
            self._blocked_at_end()

    def _wake_at_end(self) -> None:
        """Wake the task at the end of a turn of trio's loop, which has looked already how long it can wait."""
        trio.lowlevel.current_trio_token().run_sync_soon(self.doorbell.ring, idempotent=True)

    def _write_now(self) -> bool:
        """Write as many bytes as the kernel takes; return whether these were all."""
        fd, self._idle = self._idle, -1
        if fd < 0:
            return False
        try:
            if data := self.take():
                self._rest = written_now(fd, data)
                if self._sent is not None and not self._rest:
                    self._sent()
        except Exception as error:  # costs this stream, not the task that fills it
            self._fault = error
            return False
        if self._rest:
            return False
        self._idle = fd
        return True

    def go_on(self, fd: int) -> bool:
        """Write all that waits to a descriptor, now and in later calls; return whether the kernel has taken it.

        This is for a loop that asks the kernel itself when there is room again; a task calls :meth:`write`.

        Raises:
            Exception: If bytes that wait elsewhere could not be made.
        """
        if self._rest:
            self._rest = written_now(fd, self._rest)
            if self._rest:
                return False
        self._idle = fd
        done = self._write_now()
        if self._fault is not None:
            raise self._fault
        return done

    def stop(self) -> None:
        """Write no more: the descriptor is about to be closed."""
        self._idle = -1

    async def write(self, stream: trio.abc.SendStream, sent: Callable[[], object] | None = None) -> None:
        """Write for as long as the stream lasts; call ``sent`` whenever nothing is left to write."""
        self._sent = sent
        while True:
            if self._fault is not None:
                raise self._fault
            data, self._rest = self._rest or self.take(), b""
            if data:
                await stream.send_all(data)
                continue
            if sent is not None:
                sent()
            self._idle = stream.socket.fileno() if DIRECT and isinstance(stream, trio.SocketStream) else -1
            try:
                await self.doorbell.wait()
            finally:
                self._idle = -1


def written_now(fd: int, data: bytes) -> bytes:
    """Write as many bytes as the kernel takes at once; return the rest."""
    try:
        written = os.write(fd, data)
        return b"" if written == len(data) else data[written:]
    except OSError:  # it has no room, or the stream has ended, which its task learns
        return data


async def read_all(stream: trio.abc.ReceiveStream, take: Callable[[bytes], object]) -> None:
    """Pass on the bytes of a stream, as they come, until it ends.

    Raises:
        trio.BrokenResourceError: If the other end is gone.
    """
    if not (DIRECT and isinstance(stream, trio.SocketStream)):
        while data := await stream.receive_some(READ):
            take(bytes(data))
        return
    # Not by receive_some, whose first attempt fails, and that costs more than the reading. Into memory that stays: the
    # kernel would map and unmap new memory for each message.
    fd, room = stream.socket.fileno(), memoryview(bytearray(READ))
    into = (room,)
    while True:
        await trio.lowlevel.wait_readable(fd)
        try:
            size = os.readv(fd, into)
        except BlockingIOError:
            continue
        except OSError as error:
            raise trio.BrokenResourceError(f"the stream is broken: {error}") from error
        if not size:
            return
        take(bytes(room[:size]))


async def read_frames(stream: trio.abc.ReceiveStream, take: Callable[[RelayFrame], object]) -> None:
    """Pass on each frame until the stream ends.

    Raises:
        MalformedFrame: For bytes that are not a frame.
        trio.BrokenResourceError: If the other end is gone.
    """
    feed = FrameReader().feed

    def take_all(data: bytes) -> None:
        for one in feed(data):
            take(one)

    await read_all(stream, take_all)
