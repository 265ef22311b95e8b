"""A newcomer's membership of a resource's life and its place there, until it is a client."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from wsframe.hooks.listener import Listener
from wsframe.http.responses import RETRY_AFTER, Reject
from wsframe.server.capacity import Places, Reservation

__all__ = ["Seat"]


WAITING: Final = "waiting"
"""The place of newcomers whose resource cannot be joined yet."""


class Seat:
    """Membership and place, both given back at the end of a ``with`` unless they are kept."""

    __slots__ = ("_kept", "_listener", "_reservation")

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._reservation: Reservation | None = None
        self._kept = False

    def __enter__(self) -> Self:
        """Begin without either."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back both."""
        if self._kept:
            return
        if self._reservation is not None:
            self._reservation.release()
        if self._listener is not None:
            self._listener.leave()

    @property
    def listener(self) -> Listener:
        """The life of the resource."""
        assert self._listener is not None
        return self._listener

    @property
    def reservation(self) -> Reservation:
        """The place taken."""
        assert self._reservation is not None
        return self._reservation

    def reserve(self, places: Places, address: str) -> None:
        """Take a place of the server and the peer's address, for a life that cannot be joined yet.

        Args:
            places: The places of the server.
            address: The peer's IP address.

        Raises:
            Reject: 503 or 429 when one of them is full.
        """
        self._reservation = places.reserve(address, WAITING, None)

    def enter(self, listener: Listener) -> None:
        """Take a place of the resource as well, whose life has counted the newcomer in already.

        Raises:
            Reject: 503 when it is full.
        """
        self._listener = listener
        if not self.reservation.take(listener.place, listener.resource.max_clients):
            raise Reject(503, [RETRY_AFTER], "resource full")
        self.reservation.settle()

    def take(self, listener: Listener, places: Places, address: str) -> None:
        """Take a place of the server, the resource and the peer's address.

        Args:
            listener: The life of the resource, which has counted the newcomer in already.
            places: The places of the server.
            address: The peer's IP address.

        Raises:
            Reject: 503 or 429 when one of them is full.
        """
        self._listener = listener
        self._reservation = places.reserve(address, listener.place, listener.resource.max_clients)

    def move(self, listener: Listener) -> None:
        """Move to the life of another resource, which has counted the newcomer in already.

        Raises:
            Reject: 503 when that resource is full.
        """
        if not self.reservation.take(listener.place, listener.resource.max_clients):
            listener.leave()
            raise Reject(503, [RETRY_AFTER], "resource full")
        self.reservation.settle()
        self.listener.leave()
        self._listener = listener

    def keep(self) -> None:
        """Leave both to the client."""
        self._kept = True
