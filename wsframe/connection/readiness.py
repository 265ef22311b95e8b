"""The events of one client's socket that the poller is to report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsframe.net.poller import END, READ, WRITE

if TYPE_CHECKING:
    from wsframe.net.poller import Poller

__all__ = ["Readiness"]


class Readiness:
    """The interest of one link in its socket.

    Args:
        fd: The descriptor, which is in the poller for READ.
        poller: Reports its readiness.
    """

    __slots__ = ("_poller", "eof", "fd", "held", "interest")

    def __init__(self, fd: int, poller: Poller) -> None:
        self._poller = poller
        self.fd: int = fd
        """The descriptor; -1 once it is closed: nothing is watched from then on."""
        self.interest: int = READ
        self.eof: bool = False
        """Whether the peer has shut its sending side."""
        self.held: bool = False
        """Whether nothing is read, whatever else happens, because the connection is about to go elsewhere."""

    def hold(self) -> None:
        """Read no more, until :meth:`let_go`: the peer's bytes and its end are left to the next owner of the socket."""
        self.held = True
        self._watch(self.interest & WRITE)

    def let_go(self) -> None:
        """Undo :meth:`hold`; the caller says whether to read on."""
        self.held = False

    def read_on(self) -> None:
        """Have the poller report that there is something to read."""
        self._watch((self.interest & WRITE) | READ)

    def read_no_more(self, *, tell_end: bool = False) -> None:
        """Leave the peer's bytes to the kernel; with ``tell_end`` the poller still reports the end of the peer."""
        self._watch((self.interest & WRITE) | (END if tell_end else 0))

    def await_room(self, *, wanted: bool) -> None:
        """Have the poller report, or no longer report, that the kernel takes bytes again."""
        self._watch(self.interest | WRITE if wanted else self.interest & ~WRITE)

    def only_read(self) -> None:
        """Have the poller report nothing but bytes and the end of the peer."""
        self._watch(READ)

    def _watch(self, interest: int) -> None:
        if self.held:
            interest &= WRITE
        if interest != self.interest and self.fd >= 0:
            self.interest = interest
            self._poller.watch(self.fd, interest)

    def forget(self) -> None:
        """Take it out of the poller, which would report a socket that is shut both ways without end."""
        self._poller.forget(self.fd)
