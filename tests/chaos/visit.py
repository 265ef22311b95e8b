"""The input of a client's program, and its account for the end of the round."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from zlib import crc32

import trio

from tests.chaos.conversation import Conversation
from tests.chaos.rough import Address, Rough

__all__ = ["Program", "Visit"]


@dataclass
class Visit:
    """One client: its name, its own stream of random numbers, and the world around it."""

    name: str
    random: Random
    address: Address
    gates: dict[str, trio.Event]
    released: trio.Event
    """Set when every server is rid of its clients: a client that holds a socket open can let go of it."""
    busy: trio.Semaphore
    """How many do something at the same time."""
    promised: list[int] | None = None
    """Checksums of the messages that the hooks must have been told, if that is known."""
    closes_with: int | None = None
    """The close code that ``disconnected`` must have been told, if that is known."""
    lives: int | None = 1
    """How often the client is to have been connected; None if that may be once or not at all."""
    acts: int = 0
    """The client's progress, roughly counted in messages."""
    trail: list[str] = field(default_factory=list)
    retired: bool = False
    """Whether it does no more than hold its socket open, or has ended."""

    def promise(self, *messages: str | bytes) -> None:
        """Note messages that the hooks will be told."""
        sums = [crc32(message.encode() if isinstance(message, str) else message) for message in messages]
        self.promised = [*(self.promised or []), *sums]
        self.acts += len(messages)

    def retire(self) -> None:
        """Let others come: from now on nothing is done but to hold the socket open."""
        if not self.retired:
            self.retired = True
            self.busy.release()

    async def hold(self) -> None:
        """Hold the socket open until every server has forgotten everybody."""
        self.retire()
        await self.released.wait()

    @asynccontextmanager
    async def peer(self, *, piece: int = 0, small: bool = False, tls: bool = True) -> AsyncIterator[Rough]:
        """Connect, and close at the end."""
        peer = await Rough.connect(self.address, piece=piece, small=small, tls=tls)
        try:
            yield peer
        finally:
            peer.close()

    @asynccontextmanager
    async def conversation(
        self, path: str, *, deflate: bool = False, piece: int = 0, suffix: str = ""
    ) -> AsyncIterator[Conversation]:
        """Connect and shake hands; closes the socket at the end."""
        async with self.peer(piece=piece) as peer:
            talk = Conversation(peer, self.name + suffix)
            await talk.open(path, deflate=deflate)
            yield talk


Program = Callable[[Visit], Awaitable[None]]
