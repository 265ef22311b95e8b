"""Resources that keep a ledger of their hooks."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from zlib import crc32

import trio

import wsframe

__all__ = ["LIMITS", "TIMEOUTS", "Deliberate", "Ledger", "Life", "registry"]

LIMITS = wsframe.Limits(
    max_message=32 * 1024,
    max_fragments=64,
    max_queued_messages=32,
    max_queued_bytes=64 * 1024,
    max_outbox=256 * 1024,
    unsent_low_water=16 * 1024,
)
# Short, so that a round ends soon, but for those that honest clients come near on a machine that is busy: a
# handshake in small pieces takes a hundred turns of everything.
TIMEOUTS = wsframe.Timeouts(handshake=25, ping_interval=2, ping_timeout=10, write_stall=10, close=10, drain=30)


class Deliberate(Exception):
    """Raised by hooks on purpose."""


@dataclass
class Life:
    """The calls of one client's hooks, in order."""

    connected: int = 0
    disconnected: int = 0
    messages: list[int] = field(default_factory=list)
    """Checksums of the messages received."""
    close_code: int | None = None
    close_reason: str = ""


class Ledger:
    """The calls of all hooks of a world, and the faults found on the way."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.faults: list[str] = []
        self.calls = 0
        self.raised = 0
        self._busy: set[object] = set()

    @contextmanager
    def hook(self, resource: wsframe.Resource, client: wsframe.Client, hook: str) -> Iterator[Life]:
        """Note a hook that runs, and any state that it must not find."""
        name = name_of(client.request)
        life = self.lives.setdefault(name, Life())
        place = id(resource) if resource.ordering == "resource" else name
        if place in self._busy:
            self.faults.append(f"{name}: {hook} overlaps another hook")
        if life.disconnected:
            self.faults.append(f"{name}: {hook} after disconnected")
        if not life.connected and hook != "client_connected":
            self.faults.append(f"{name}: {hook} before client_connected")
        self._busy.add(place)
        self.calls += 1
        try:
            yield life
        finally:
            self._busy.discard(place)

    def fail(self, what: str) -> None:
        """Raise on purpose, and count it."""
        self.raised += 1
        raise Deliberate(what)


def name_of(request: wsframe.Request) -> str:
    return request.query["name"][0]


class Recorded(wsframe.Resource):
    """A resource that enters its hooks in a ledger; subclasses describe their other actions."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def client_connected(self, client: wsframe.Client) -> None:
        with self.ledger.hook(self, client, "client_connected") as life:
            life.connected += 1
            await self.greet(client)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        with self.ledger.hook(self, client, "received_text") as life:
            life.messages.append(crc32(message.encode()))
            await self.take(client, message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        with self.ledger.hook(self, client, "received_binary") as life:
            life.messages.append(crc32(message))
            await self.take(client, message)

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        with self.ledger.hook(self, client, "received_pong"):
            await trio.lowlevel.checkpoint()

    async def disconnected(self, client: wsframe.Client) -> None:
        with self.ledger.hook(self, client, "disconnected") as life:
            life.disconnected += 1
            life.close_code, life.close_reason = client.close_code, client.close_reason
            if client in self.clients or client.close_code is None:
                self.ledger.faults.append(f"{name_of(client.request)}: still there in disconnected")
            await self.leave(client)

    async def greet(self, client: wsframe.Client) -> None:
        """Act for ``client_connected``."""

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        """Act for a message: here, echo it."""
        client.send(message)

    async def leave(self, client: wsframe.Client) -> None:
        """Act for ``disconnected``."""


class Deflated(Recorded):
    deflate = wsframe.Deflate.dedicated(threshold=16)


class Waits(Recorded):
    """Echoes after a wait that the message decides."""

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        await trio.sleep(len(message) % 4 / 2000)
        client.send(message)

    async def leave(self, client: wsframe.Client) -> None:
        await trio.lowlevel.checkpoint()


class WaitsForEach(Waits):
    """The same, with the hooks of different clients in parallel."""

    ordering = "client"


class Bounded(Waits):
    """The same, with a time that no hook reaches, and every frame passed by a check that takes it."""

    timeouts = wsframe.Timeouts(hook=20)

    def check_message(self, client: wsframe.Client, kind: str, frame_length: int, total_length: int) -> None:
        if frame_length > total_length:
            self.ledger.faults.append(f"{name_of(client.request)}: {frame_length=} of {total_length=}")


class Works(Recorded):
    """Answers from tasks, some of which raise; hooks and tasks end with their client."""

    ordering = "client"
    cancel_on_disconnect = True
    on_hook_failed = "drop_message"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.working: Counter[str] = Counter()

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        client.start_soon(self.work, client, message)
        await trio.sleep(len(message) % 4 / 2000)

    async def work(self, client: wsframe.Client, message: str | bytes) -> None:
        name = name_of(client.request)
        self.working[name] += 1
        try:
            await trio.sleep(len(message) % 5 / 500)
            if len(message) % 7 == 6:
                self.ledger.fail("in a task")
            client.send(message)
        finally:
            self.working[name] -= 1

    async def leave(self, client: wsframe.Client) -> None:
        if self.working.pop(name_of(client.request), 0):
            self.ledger.faults.append(f"{name_of(client.request)}: disconnected before its tasks were over")


class Room(Recorded):
    """Broadcasts each message to all clients, compressed for those that can read it."""

    deflate = wsframe.Deflate.shared(threshold=16)

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        if len(message) > 200:
            client.close(1008, "too long")
        else:
            self.say(message)

    def say(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.broadcast_text(message)
        else:
            self.broadcast_binary(message)


class Raises(Recorded):
    """Raises where the client's name or message says."""

    async def accept_client(self, request: wsframe.Request) -> wsframe.Accept | wsframe.Reject | None:
        await trio.lowlevel.checkpoint()
        if name_of(request).endswith(".accept"):
            self.ledger.fail("in accept_client")
        return wsframe.Reject(403, body="go away") if name_of(request).endswith(".refuse") else None

    async def greet(self, client: wsframe.Client) -> None:
        if name_of(client.request).endswith(".connected"):
            self.ledger.fail("in client_connected")
        if name_of(client.request).endswith(".reject"):
            client.send_text("never seen")
            client.reject(4003, "not you")

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        if message == "raise":
            await trio.lowlevel.checkpoint()
            self.ledger.fail("in received_text")
        client.send(message)

    async def leave(self, client: wsframe.Client) -> None:
        if name_of(client.request).endswith(".disconnected"):
            self.ledger.fail("in disconnected")


class Closes(Recorded):
    """Closes when it is told to, in the way it is told."""

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        client.send(message)
        if message == "close":
            client.close(4000, "as you wish")
            if client.send_text("too late"):
                self.ledger.faults.append("sent behind a close frame")
        elif message == "abort":
            client.abort()


class Gate(Recorded):
    """Holds a hook until the same client, by way of a pong, has seen that the server lives."""

    ordering = "client"

    def __init__(self, ledger: Ledger, gates: dict[str, trio.Event]) -> None:
        super().__init__(ledger)
        self._gates = gates

    async def take(self, client: wsframe.Client, message: str | bytes) -> None:
        gate = self._gates.get(name_of(client.request))
        if gate is not None:
            with trio.move_on_after(20) as patience:
                await gate.wait()
            if patience.cancelled_caught:
                self.ledger.faults.append(f"{name_of(client.request)}: no pong while a hook waits")
        client.send(message)


def registry(ledger: Ledger, gates: dict[str, trio.Event]) -> wsframe.Registry:
    """Return a registry with one resource of each kind."""
    made = wsframe.Registry()
    kinds = {"/echo": Recorded, "/deflated": Deflated, "/waits": Waits, "/each": WaitsForEach, "/room": Room}
    more = {"/raises": Raises, "/closes": Closes, "/bounded": Bounded, "/works": Works}
    for path, kind in {**kinds, **more}.items():
        made.register(path, kind(ledger), wsframe.any_origin)
    made.register("/gate", Gate(ledger, gates), wsframe.any_origin)
    return made
