"""How a link's frames get to the kernel, and whether its peer takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from wsframe.log import log_for

if TYPE_CHECKING:
    from wsframe.connection.dialect import AnyDecoder
    from wsframe.connection.loop import Loop
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.readiness import Readiness
    from wsframe.net.transport import Transport

__all__ = ["Sender", "SendingLink"]

logger = log_for(__name__)


class SendingLink(Protocol):
    """A link, as far as its sender needs it."""

    fd: int
    loop: Loop[Any]
    transport: Transport
    readiness: Readiness
    connection: AnyDecoder
    outbox: Outbox

    @property
    def name(self) -> str: ...
    def all_sent(self) -> None: ...
    def lost(self) -> None: ...
    def abort(self, reason: str, *, mute: bool) -> bool: ...


class Sender:
    """The sending side of one link, between its outbox and its socket."""

    __slots__ = ("_link",)

    def __init__(self, link: SendingLink) -> None:
        self._link = link

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

    def writable(self) -> None:
        """Go on: the kernel takes bytes again."""
        link = self._link
        try:
            if not link.transport.pump():
                self.blocked(progress=True)
                return
        except OSError:
            link.lost()
            return
        if link.outbox.items:
            link.outbox.flush()
        else:
            self.unblocked()
            self.emptied()

    def check_stall(self) -> None:
        """Abort a peer that takes nothing."""
        link = self._link
        if link.connection.deadlines.stalled(link.loop.clock(), link.transport.in_kernel()):
            link.abort("write stall", mute=False)

    # Called by the outbox

    def blocked(self, *, progress: bool) -> None:
        """Note that the kernel refuses bytes, and have the poller report when it takes some."""
        link = self._link
        if link.transport.sock is not None:
            link.connection.deadlines.block(link.loop.clock(), link.transport.in_kernel(), progress=progress)
        link.readiness.await_room(wanted=True)
        link.loop.schedule(link.fd)

    def unblocked(self) -> None:
        """Note that the kernel has taken everything."""
        link = self._link
        if not link.transport.unsent:
            link.connection.deadlines.unblock(link.loop.clock())
            link.readiness.await_room(wanted=False)

    def emptied(self) -> None:
        """Go on with an end that waits for the outbox."""
        self._link.all_sent()

    def broken(self) -> None:
        """Send no more. Bytes that the peer sent before it went are still read; its end shows there."""
        link = self._link
        link.outbox.give_up()
        link.transport.drop_unsent()  # or the end would wait for it
        link.connection.deadlines.blocked_at = None
        link.readiness.await_room(wanted=False)
        self.emptied()

    def overflowed(self) -> None:
        """Disconnect a client that does not read."""
        logger.info("%s: outbox full; the client is disconnected", self._link.name)
        self._link.abort("outbox full", mute=True)
