"""Sends a link's frames to the kernel, and watches whether its peer takes them, for both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from wsframe.log import Log, log_for
from wsframe.protocol.closing import ClosingEvent
from wsframe.protocol.frames import PONG, control_frame

if TYPE_CHECKING:
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.protocol_version import AnyDecoder
    from wsframe.net.transport import Transport

__all__ = ["Sender", "SendingLink"]

logger: Log = log_for(__name__)


class SenderEnd(Protocol):
    """The end of a link, as far as its sender needs it."""

    def on(self, event: ClosingEvent) -> None: ...
    def abort(self, reason: str, *, mute: bool = False) -> None: ...


class SendingLink(Protocol):
    """A link, as far as its sender needs it."""

    clock: Callable[[], float]
    transport: Transport
    outbox: Outbox

    @property
    def name(self) -> str: ...
    @property
    def connection(self) -> AnyDecoder: ...
    @property
    def closing(self) -> SenderEnd: ...
    def schedule(self) -> None: ...


class RoomWatch(Protocol):
    """Calls :meth:`Sender.writable` when the kernel takes bytes again."""

    def await_room(self, *, wanted: bool) -> None: ...


class Sender:
    """The sending side of one link, between its outbox and its transport."""

    __slots__ = ("_link", "_watch")

    def __init__(self, link: SendingLink, watch: RoomWatch) -> None:
        self._link = link
        self._watch = watch

    def __repr__(self) -> str:
        return f"<Sender of {self._link!r}>"

    @property
    def unsent(self) -> bool:
        """Whether anything waits for the kernel."""
        return bool(self._link.outbox.items) or self._link.transport.unsent

    def send_encrypted(self, data: bytes | memoryview) -> int:
        """Encrypt and send; ciphertext that the kernel does not take at once is a blocked socket too."""
        taken = self._link.transport.send(data)
        if self._link.transport.unsent:
            self.blocked(progress=True)
        return taken

    def put_pongs(self, pongs: Sequence[bytes]) -> None:
        """Queue the pongs of one read, as one piece: each urgent frame walks past those before it."""
        outbox = self._link.outbox
        outbox.put_urgent(pongs[-1] if outbox.blocked else b"".join(pongs))

    def answered(self, data: bytearray) -> bool:
        """Answer a ping if that is all that was received; the long way takes twice as long."""
        payload = self._link.connection.lone_ping(data)
        if payload is not None:
            self._link.outbox.put_urgent(control_frame(PONG, payload))
        return payload is not None

    def writable(self) -> None:
        """Go on: the kernel takes bytes again."""
        link = self._link
        try:
            if not link.transport.pump():
                self.blocked(progress=True)
                return
        except OSError:
            self.broken()
            return
        if link.outbox.items:
            link.outbox.flush()
        else:
            self.unblocked()
            self.emptied()

    def check_stall(self) -> None:
        """Reset the connection to a peer that takes nothing."""
        link = self._link
        if link.connection.deadlines.stalled(link.clock(), link.transport.in_kernel()):
            link.closing.abort("write stall")

    # Called by the outbox

    def blocked(self, *, progress: bool) -> None:
        """Note that the kernel refuses bytes."""
        link = self._link
        link.connection.deadlines.block(link.clock(), link.transport.in_kernel(), progress=progress)
        self._watch.await_room(wanted=True)
        link.schedule()

    def unblocked(self) -> None:
        """Note that the kernel has taken everything."""
        link = self._link
        if not link.transport.unsent:
            link.connection.deadlines.unblock(link.clock())
            self._watch.await_room(wanted=False)

    def emptied(self) -> None:
        """Go on with an end that waits for the outbox."""
        if self._link.outbox.shut and not self._link.transport.unsent:
            self._link.closing.on(ClosingEvent.ALL_SENT)

    def broken(self) -> None:
        """Send no more. Bytes that the peer sent before it went are still read; its end shows there."""
        self.give_up()
        self.emptied()

    def give_up(self) -> None:
        """Drop everything that waits for the kernel."""
        link = self._link
        link.outbox.give_up()
        link.transport.drop_unsent()  # or the end would wait for it
        link.connection.deadlines.blocked_at = None
        self._watch.await_room(wanted=False)

    def overflowed(self) -> None:
        """Disconnect a client that does not read."""
        logger.info("%s: outbox full; the client is disconnected", self._link.name)
        self._link.closing.abort("outbox full", mute=True)
