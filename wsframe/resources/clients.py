"""The connected clients of a resource, to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, TypeVar

from wsframe.resources.client import Client

if TYPE_CHECKING:
    from wsframe.resources.client import DataT
else:
    DataT = TypeVar("DataT")

__all__ = ["Clients"]


class Clients(Collection[Client[DataT]]):
    """The connected clients of a resource in order of arrival; iterating takes a snapshot."""

    __slots__ = ("_clients",)

    def __init__(self, clients: dict[Client[DataT], None]) -> None:
        self._clients = clients

    def __iter__(self) -> Iterator[Client[DataT]]:
        return iter(tuple(self._clients))

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, client: object) -> bool:
        return client in self._clients

    def __repr__(self) -> str:
        return f"<Clients {len(self)}>"
