"""A rude server in memory, and a program that sends, receives, pings and closes meanwhile, all of it by script."""

import logging
import ssl
from collections.abc import Awaitable, Callable
from random import Random
from unittest.mock import patch

import trio
import trio.testing
from wsproto.connection import SERVER, ConnectionState
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from tests.fuzz.answers import OFFERS, accepted
from tests.fuzz.promises import PromiseBroken, keep
from tests.outgoing.memory import Ciphered, Server
from wsframe.http.client_handshake import HandshakeFailed
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts, filled
from wsframe.outgoing.connect import connect
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.opening import OpeningPlan
from wsframe.outgoing.options import Opening
from wsframe.outgoing.websocket import WebSocket
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import InflateExtension
from wsframe.protocol.frames import MAX_CONTROL_PAYLOAD

__all__ = ["GOOD", "PLAN", "rude"]

PLAN = 6
"""Bytes at the beginning of an input that choose the actions of the program and the kernel."""
GOOD = b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: @ACCEPT@\r\n"
READ = 500
LIMITS = filled(Limits(max_message=1000, max_queued_messages=5, max_queued_bytes=2000, max_outbox=500), DEFAULT_LIMITS)
TIMEOUTS = filled(Timeouts(ping_interval=20, ping_timeout=10, write_stall=15, close=5), DEFAULT_TIMEOUTS)
OPENING = Opening(handshake=10, max_head=1024, max_body=100, max_redirects=3)
# Each redirect may take a handshake; a stall, a close that is due for want of a reader, its answer and the end of TCP.
LONGEST = 4 * 10 + 20 + 10 + 15 + 5 * 4
LONGEST_HEADER = 14
TOO_LATE = ("ping timeout", "write stall", "close timeout")


class Rude(Server):
    """A server of which little can be read at a time."""

    def tune(self, unsent_low_water: int, write_stall: float | None) -> None:
        pass

    async def start_tls(self, context: ssl.SSLContext, hostname: str | None = None, early: bytes = b"") -> None:
        """Leave it plain, where a redirect leads to wss."""
        await trio.lowlevel.checkpoint()

    def recv_into(self, view: memoryview, most: int = 0) -> int:
        return super().recv_into(view, READ)


class RudeOverTLS(Rude, Ciphered):
    """The same over TLS."""


class World:
    """One run: the servers that were connected to, and the bytes in either direction."""

    def __init__(self, data: bytes) -> None:
        self.plan, self.stream = data[:PLAN].ljust(PLAN, b"\0"), data[PLAN:]
        self.random = Random(bytes(self.plan))
        if not self.stream.startswith(b"HTTP"):
            self.stream = GOOD + b"\r\n" + self.stream
        self.servers: list[Rude] = []
        self.fed = bytearray()
        self.sent: list[object] = []
        self.received: list[object] = []
        self.ended = False
        self.interfered = False
        """Whether the program has closed or aborted by itself."""

    async def connect(self, nursery: trio.Nursery) -> Rude:
        await trio.lowlevel.checkpoint()
        kind = RudeOverTLS if self.plan[0] & 4 else Rude
        server = kind(None if self.plan[2] & 1 else 400 + self.plan[2], bite=self.plan[2] % 100 + 1)
        server.unacknowledged = 1
        self.servers.append(server)
        nursery.start_soon(self.speak, server)
        return server

    async def speak(self, server: Rude) -> None:
        """Answer the request by script, in pieces with pauses, and end as the plan says."""
        while b"\r\n\r\n" not in server.taken:
            if server.closed_by_reset is not None:
                return
            await trio.sleep(0.01)
        stream = accepted(bytes(server.taken), self.stream)
        most, pause = self.plan[1] + 1, (0, 0, 0.1, 3)[self.plan[5] & 3]
        self.fed.clear()
        while stream:
            piece, stream = stream[:most], stream[most:]
            self.fed += piece
            server.feed(piece)
            if server.closed_by_reset is not None:
                return
            server.take(self.plan[2] % 50)
            if pause or self.random.random() < 0.1:
                await trio.sleep(pause)
        if self.plan[4] % 3 == 1:
            server.end()
        elif self.plan[4] % 3 == 2:
            server.break_down()

    async def use(self, ws: WebSocket) -> None:
        """Send from two tasks, receive, ping and perhaps close, each cancelled at random."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.receive, ws)
            if self.plan[3] & 1:
                nursery.start_soon(self.some, lambda number: self.send(ws, f"one {number} " * (number * 9)))
                nursery.start_soon(self.some, lambda number: self.send(ws, b"two %d " % number * (number * 9)))
            if self.plan[3] & 2:
                nursery.start_soon(self.some, lambda number: ws.ping(None if number % 2 else b"ping"))
            nursery.start_soon(self.watch, ws, nursery.cancel_scope)
            if self.plan[3] & 12:
                await trio.sleep(self.random.choice((0, 0.05, 4, 11)))
                self.interfered = True
                if self.plan[3] & 4:
                    ws.abort()
                else:
                    await self.some(lambda _: ws.close(4000, "enough"))

    async def receive(self, ws: WebSocket) -> None:
        try:
            while True:
                with self.scope():
                    self.received.append(await ws.receive())
        except ConnectionClosed:
            self.ended = True

    async def send(self, ws: WebSocket, message: str | bytes) -> None:
        frame_size = self.random.choice((None, None, 10))
        if isinstance(message, str):
            await ws.send_text(message, compress=False, frame_size=frame_size)
        else:
            await ws.send_binary(message, compress=False, frame_size=frame_size)
        self.sent.append(message)

    async def some(self, act: Callable[[int], Awaitable[object]]) -> None:
        """Do something a few times."""
        try:
            for number in range(4):
                with self.scope():
                    await act(number)
                await trio.sleep(self.random.choice((0, 0.01, 1)))
        except ConnectionClosed:
            pass

    def scope(self) -> trio.CancelScope:
        """Return a scope that cancels at once, soon, later or never."""
        return trio.move_on_after(self.random.choice((0, 0.001, 1, 30, float("inf"))))

    async def watch(self, ws: WebSocket, program: trio.CancelScope) -> None:
        """Look at the memory of the connection until it has ended, or long enough."""
        link = ws._link
        for _ in range(300):
            inside, waiting = link.connection, sum(map(len, link.messages))
            keep(len(inside._held or b"") <= LIMITS.max_message + LONGEST_HEADER + READ, "too much undecoded")
            keep(len(link.messages) <= LIMITS.max_queued_messages, f"{len(link.messages)} messages wait")
            keep(waiting <= LIMITS.max_queued_bytes + READ + LIMITS.max_message, f"{waiting} bytes wait")
            # The first message may be of any size, pongs to one read are beyond the limit, and so are our pings.
            most = LIMITS.max_outbox + 1000 + READ // 2 * 6 + 4 * (MAX_CONTROL_PAYLOAD + 6)
            keep(link.outbox.byte_count <= most, f"{link.outbox.byte_count} bytes wait to be sent")
            if link.done:
                break
            await trio.sleep(0.1)
        program.cancel()

    def judge(self, ws: WebSocket) -> None:
        """Compare the messages that either side got with those that the other sent."""
        server = self.servers[-1]
        engine = Engine(SERVER, [], bytes(server.taken).partition(b"\r\n\r\n")[2])
        got: list[object] = []
        parts: list[str | bytes] = []
        closed = False
        for event in engine.events():
            keep(not closed, "something behind our close frame")
            if isinstance(event, TextMessage | BytesMessage):
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    got.append(type(parts[0])().join(parts))  # type: ignore[arg-type]
                    parts = []
            elif isinstance(event, CloseConnection):
                keep(engine.state is not ConnectionState.OPEN, f"we sent bytes that are not a frame: {event!r}")
                closed = True
        keep(got == self.sent[: len(got)], f"{got!r:.200} was sent, not {self.sent!r:.200}")
        keep(not closed or got == self.sent, "a close frame ahead of messages")
        promised = self.promised(ws)
        keep(self.received == promised[: len(self.received)], f"{self.received!r:.200}, not {promised!r:.200}")
        cut_off = self.interfered or self.plan[4] % 3 == 2 or ws.close_reason in TOO_LATE
        if self.ended and not cut_off:
            keep(len(self.received) == len(promised), f"{len(self.received)} of {len(promised)} messages")

    def promised(self, ws: WebSocket) -> list[object]:
        """Return the messages that came whole, as a reader with room for all gets them."""
        terms = None if ws._link.writer.deflater is None else ws._link.writer.deflater.terms
        inflate = None if terms is None else InflateExtension(terms, LIMITS.max_message)
        oracle = Decoder(LIMITS, DEFAULT_TIMEOUTS, 0.0, inflate, masked=False)
        stream = bytes(self.fed)
        while stream[8:12] != b" 101" and b"\r\n\r\n" in stream:  # interim answers
            stream = stream.partition(b"\r\n\r\n")[2]
        found = oracle.receive(bytearray(stream.partition(b"\r\n\r\n")[2]), 10**6)
        while oracle.stopped:
            found += oracle.receive(bytearray(), 10**6)
        return [event for event in found if isinstance(event, str | bytes)]


class Errors(logging.Handler):
    """Takes a logged error for a broken promise."""

    def emit(self, record: logging.LogRecord) -> None:
        raise PromiseBroken(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)


async def live(world: World) -> None:
    """Connect, use the connection and leave it, all within its timeouts."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        with patch.object(OpeningPlan, "connect", lambda _: world.connect(nursery)):
            try:
                with trio.fail_after(LONGEST):
                    async with connect(
                        "ws://us:secret@server.example/",
                        subprotocols=["chat", "v2"],
                        deflate=OFFERS[world.plan[0] & 3],
                        limits=LIMITS,
                        timeouts=TIMEOUTS,
                        opening=OPENING,
                    ) as ws:
                        await world.use(ws)
                keep(ws.state.value == "closed", "it has been left and is not closed")
                world.judge(ws)
            except trio.TooSlowError:
                raise PromiseBroken("it takes longer than its timeouts") from None
            except (HandshakeFailed, OSError):
                keep(not world.received, "messages before the handshake")
        nursery.cancel_scope.cancel()
    for server in world.servers:
        keep(server.closed_by_reset is not None, "a socket is left")
    keep(trio.lowlevel.current_statistics().tasks_living == before, "a task is left")


def rude(data: bytes) -> None:
    """Connect to a server that says anything, and use the connection: does it raise, hang, grow or lose anything?"""
    logger, errors = logging.getLogger("wsframe"), Errors(logging.ERROR)
    logger.addHandler(errors)
    try:
        trio.run(live, World(data), clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logger.removeHandler(errors)
