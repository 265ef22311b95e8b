"""A newcomer's seat in a resource's life and its place in the server, until it is a client."""

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
    """Seat and place, both given back at the end of a ``with`` unless they are kept."""

    __slots__ = ("_joined", "_reserved", "kept", "listener", "reservation")

    listener: Listener
    """The life of the resource, once there is one."""
    reservation: Reservation
    """The place, once it is taken."""

    def __init__(self) -> None:
        self._joined = self._reserved = False
        self.kept: bool = False
        """Whether the client keeps both."""

    def __enter__(self) -> Self:
        """Begin without either."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back both, unless they are kept."""
        if not self.kept:
            self.give_back()

    def give_back(self) -> None:
        """Give back both, if they were taken and are not given back already."""
        reserved, joined = self._reserved, self._joined
        self._reserved = self._joined = False
        if reserved:
            self.reservation.release()
        if joined:
            self.listener.leave()

    def reserve(self, places: Places, address: str) -> None:
        """Take a place of the server and the peer's address, for a life that cannot be joined yet.

        Args:
            places: The places of the server.
            address: The peer's IP address.

        Raises:
            Reject: 503 or 429 when one of them is full.
        """
        self.reservation = places.reserve(address, WAITING, None)
        self._reserved = True

    def enter(self, listener: Listener) -> None:
        """Take a place of the resource as well, whose life has counted the newcomer in already.

        Raises:
            Reject: 503 when it is full.
        """
        self.listener, self._joined = listener, True
        if not self._reserved or not self.reservation.take(listener.place, listener.resource.max_clients):
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
        self.listener, self._joined = listener, True
        self.reservation = places.reserve(address, listener.place, listener.resource.max_clients)
        self._reserved = True

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
        self.listener = listener
