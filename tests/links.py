"""Links over socket pairs, driven by hand: no server, no clock that moves, and C or Python as a test likes."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal, NamedTuple, cast
from unittest.mock import patch

from tests.resets import reset
from wsframe import speedups
from wsframe.connection.counters import PathCounters
from wsframe.connection.interfaces import CONNECTED, Arrival, ClientLink
from wsframe.connection.link import Link
from wsframe.connection.mailbox import Inbox, Mailbox, take
from wsframe.connection.reactor import Reactor
from wsframe.http.request import Request
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Overflow, filled
from wsframe.net.poller import READ
from wsframe.net.transport import Transport
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate
from wsframe.protocol.encoder import Encoder
from wsframe.protocol.events import PongReceived
from wsframe.protocol.pool import ConnectionPool
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource

__all__ = ["CLOCK", "Language", "Links", "Peer", "Snapshot", "languages", "running_in"]

Language = Literal["c", "python"]
CLOCK = 1000.0

# Where each function is called by its name.
CALLED_IN = {
    "data_frame": ("resources.client", "protocol.frames"),
    "gather_fragments": ("protocol.fragment_lane",),
    "put_frame": ("resources.client", "resources.broadcast"),
    "read_messages": ("protocol.decoder",),
    "receive_ready": ("connection.reactor",),
    "send_whole": ("connection.flusher",),
    "take": ("hooks.caller",),
    "take_received": ("connection.link",),
    "unmask": ("protocol.fast_lane",),
}


def languages() -> list[Language]:
    """Return the languages in which the hot work can be done here."""
    return ["c", "python"] if speedups.FROM_C else ["python"]


def function(name: str, language: Language) -> Callable[..., Any]:
    """Return a function as it is in one language."""
    return cast(Callable[..., Any], speedups.FROM_C[name]) if language == "c" else speedups.IN_PYTHON[name]


@contextmanager
def running_in(language: Language) -> Iterator[None]:
    """Have the hot work done in one language."""
    with ExitStack() as stack:
        for name, modules in CALLED_IN.items():
            for module in modules:
                stack.enter_context(patch(f"wsframe.{module}.{name}", function(name, language)))
        yield


class Poller:
    """Notes the watched sockets; asks the kernel when a test wants it to."""

    asks_kernel = True

    def __init__(self) -> None:
        self.masks: dict[int, int] = {}

    def watch(self, fd: int, mask: int) -> None:
        self.masks[fd] = mask

    add = watch

    def forget(self, fd: int) -> None:
        self.masks.pop(fd, None)

    def poll(self) -> list[tuple[int, int]]:
        """Return the links that can be read, with READ and no other flag."""
        poll = select.poll()
        for fd, mask in self.masks.items():
            if mask & READ:
                poll.register(fd, select.POLLIN)
        return [(fd, READ) for fd, _ in poll.poll(0)]

    async def wait(self) -> None:
        raise NotImplementedError

    def wake(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Place:
    """The life of a resource, as far as a link needs it."""

    def __init__(self, limits: Limits) -> None:
        self.resource: Resource[Any] = Resource()
        self.overflow: Overflow = "disconnect"
        self.limits = filled(limits, DEFAULT_LIMITS)
        self.timeouts = DEFAULT_TIMEOUTS
        self.deflate: Deflate | None = None
        self.mailbox: Mailbox[Any] = Mailbox()
        self.counters = PathCounters()

    @property
    def over(self) -> bool:
        return False

    def make_client(self, link: ClientLink, arrival: Arrival, encoder: Encoder | None) -> Client:
        return Client(link, link.outbox, arrival.request, self.resource, None, None, encoder)

    def leave(self) -> None:
        """Nobody waits for it to be over."""

    def mailbox_for_client(self) -> Mailbox[Any]:
        return self.mailbox

    def welcome(self, inbox: Inbox[Any]) -> None:
        inbox.mailbox.put(inbox, CONNECTED)


class Snapshot(NamedTuple):
    """All that is known of a link and counted for it."""

    entries: list[object]
    """The entries that have come, whether they were taken or not."""
    waiting: int
    byte_count: int
    received: int
    bytes_received: int
    """0 once it has ended: the bytes read after the end hinge on the size of the reads, which C chooses otherwise."""
    state: str
    interest: int
    ended: object
    in_engine: bool
    """Whether a frame is half done in the engine, which counts otherwise."""
    undecoded: int
    counted: int
    budget: int
    held: bytes
    wanted: int


class Peer:
    """One link, the other end of its socket, and the messages that its hooks would have taken."""

    def __init__(self, links: Links, limits: Limits) -> None:
        self.place = Place(limits)
        self.sock, theirs = socket.socketpair()
        self.sock.setblocking(False)
        theirs.setblocking(False)
        reservation = cast(Any, Nobody())
        request = Request("/", [], host="127.0.0.1", port=1)
        self.links = links
        arrival = Arrival(Transport(theirs), request, None, None, self.place, reservation)
        self.link: Link = links.reactor.adopt(arrival, b"")
        self.taken: list[object] = []
        self.sent = b""
        """The bytes that the link has sent."""

    @property
    def inbox(self) -> Inbox[Any]:
        return self.link.inbox

    @property
    def connection(self) -> Decoder:
        assert isinstance(self.link.connection, Decoder)
        return self.link.connection

    @property
    def reads(self) -> bool:
        """Whether the link is being read."""
        return bool(self.link.readiness.interest & READ) and self.link.transport.sock is not None

    def send(self, data: bytes) -> None:
        """Send bytes, in as many turns of the link as that takes; a full share is emptied. An end drops the rest."""
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self.take_all()
                if not self.reads:
                    return
            except OSError:
                return
            self.links.settle()

    def take(self, most: int = 1 << 30) -> None:
        """Take messages as the hooks do."""
        entries = self.place.mailbox.entries
        while entries and most:
            most -= 1
            _, entry = entries.popleft()
            self.taken.append(entry)
            if isinstance(entry, str | bytes | PongReceived):
                take(self.inbox, entry)
        self.links.settle()

    def take_all(self) -> None:
        """Take messages until there are no more, and the link is read again."""
        while self.place.mailbox.entries:
            self.take()

    def read(self, most: int = 1 << 40) -> None:
        """Read the bytes that the link has sent, or some of them."""
        with suppress(OSError):
            while most and (data := self.sock.recv(min(most, 65536))):
                self.sent += data
                most -= len(data)

    def reset(self) -> None:
        reset(self.sock)

    def held(self) -> bytes:
        """Return the bytes held, wherever they are."""
        return bytes(self.connection._held or b"") + (self.connection._payload or b"")

    def snapshot(self) -> Snapshot:
        inbox, connection = self.inbox, self.connection
        waiting = [entry for _, entry in self.place.mailbox.entries]
        return Snapshot(
            [*self.taken, *waiting],
            inbox.waiting, inbox.byte_count, inbox.received,
            self.link.bytes_received if self.link.closing.ended is None else 0,
            connection.state.name, self.link.readiness.interest, self.link.closing.ended,
            connection._engine is not None,
            connection.undecoded, self.link._undecoded, inbox.budget.held, self.held(),
            0 if connection._held is None else connection._wanted,
        )  # fmt: skip


class Nobody:
    """The object that counts places."""

    def release(self) -> None:
        """Nobody counts here."""


class Links:
    """A reactor that runs by hand. It must be made within a trio run, whose tasks it leaves alone.

    Args:
        language: The language of the hot work; enter :func:`running_in` for it, too.
        buffer: Bytes of one read: less than in earnest, and everything is large.
        budget: The bytes that all links together can hold.
    """

    def __init__(self, language: Language, *, buffer: int = 65536, budget: int = 1 << 40) -> None:
        self.receive_ready = function("receive_ready", language)
        self.reactor = Reactor(ConnectionPool(), "task", budget)
        loop = self.reactor.loop
        loop.clock = lambda: CLOCK
        loop.buffer = bytearray(buffer)
        loop.view = memoryview(loop.buffer)
        self.poller = loop.poller = Poller()
        self.peers: list[Peer] = []

    def open(self, limits: Limits | None = None) -> Peer:
        peer = Peer(self, limits or Limits())
        self.peers.append(peer)
        return peer

    def turn(self) -> bool:
        """Do one turn of the reactor; return whether there was anything to do."""
        loop = self.reactor.loop
        ready = self.poller.poll()
        loop.now = CLOCK
        for link, flags, received in self.receive_ready(ready, loop.links, loop.buffer, loop.now):
            try:
                if received is not None:
                    link.take(received)
                else:
                    link.turn(flags)
            except Exception:
                link.crashed()
        again, loop.again = loop.again, []
        for link in again:
            link.go_on()
        loop.flusher.flush()
        return bool(ready or again)

    def settle(self) -> None:
        """Turn until nothing is left to do."""
        busy = True
        while busy:
            busy = self.turn()
            for peer in self.peers:
                peer.read()

    def close(self) -> None:
        for peer in self.peers:
            peer.link.abort("over", mute=True)
            peer.sock.close()
