"""One life of a resource, as the resource and its clients see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from wsframe.resources.client import Client
from wsframe.resources.ownership import Ownership
from wsframe.resources.server import Server
from wsframe.resources.topics.topics import Topics

if TYPE_CHECKING:
    from wsframe.resources.client import DataT
else:
    DataT = TypeVar("DataT")

__all__ = ["Life"]


class Life(Protocol[DataT]):
    """One life of a resource, from the start of its listener task to the end."""

    clients: dict[Client[DataT], None]
    server: Server
    topics: Topics
    topic: str
    """The topic of its broadcasts, if clients of other workers get them too."""

    @property
    def ownership(self) -> Ownership: ...
    def post(self, message: object) -> bool: ...
    def post_from_thread(self, message: object) -> None: ...
    def notify(self, hook: str, args: tuple[object, ...], over: Callable[[], None]) -> None: ...
    async def call(self, fn: Callable[..., object], args: tuple[object, ...]) -> object: ...
    def start_soon(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None: ...
    def start_for(
        self, client: Client[DataT], fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> bool: ...
    def move(self, client: Client[DataT], target: Any) -> bool: ...
