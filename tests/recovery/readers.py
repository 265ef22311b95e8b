"""Many clients that speak Centrifugo's protocol and check their sequence, in one task and with one poller."""

from __future__ import annotations

import errno
import json
import re
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import trio

from tests import client_frames
from tests.recovery.ledger import Ledger, Place
from tests.resets import reset_on_close
from tests.wire import upgrade

__all__ = ["Crowd", "Reader"]

REQUEST = upgrade("/connection/websocket")
PUBLICATION = re.compile(rb'\{"push":\{"channel":"feed-\d+","pub":\{"offset":(\d+),"data":"([^"]*)"\}\}\}')
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
READ = 1 << 16
KNOWN = 1_000
"""Byte strings that are remembered, so that each of them is parsed once for all clients."""
EXPECTED_CLOSES = {1001, 3001, 3012}
"""The codes of a server that ends, and of one that has waited too long for this process, which has little CPU."""


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Write a frame of a client; the mask of zeros changes nothing."""
    return client_frames.header(0x80 | opcode, len(payload), mask=bytes(4)) + payload


def frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole frames out of a buffer."""
    at = 0
    while len(buffer) >= at + 2:
        size, begin = buffer[at + 1], at + 2
        if size == 126:
            begin += 2
        elif size == 127:
            begin += 8
        if len(buffer) < begin:
            break
        if size > 125:
            size = int.from_bytes(buffer[at + 2 : begin])
        if len(buffer) < begin + size:
            break
        yield buffer[at] & 0x0F, bytes(buffer[begin : begin + size])
        at = begin + size
    del buffer[:at]


class Reader:
    """One client. It connects again whenever its connection has ended."""

    def __init__(self, crowd: Crowd, channel: str) -> None:
        self.crowd = crowd
        self.channel = channel
        self.place: Place | None = None
        self.live = False
        """Whether it is subscribed."""
        self.held = False
        """Whether it stays away."""
        self.refusals = 0
        """How often it was told that publications are lost."""
        self.sock: socket.socket | None = None
        self._buffer = bytearray()
        self._open = False

    def __repr__(self) -> str:
        state = "subscribed" if self.live else "open" if self._open else "away" if self.sock is None else "connecting"
        return f"{self.place}, {state}, {len(self._buffer)} bytes"

    # The connection

    def connect(self) -> None:
        """Begin a connection to one of the servers."""
        if self.held or self.sock is not None:
            return
        sock = self.sock = socket.socket()
        sock.setblocking(False)
        host, port = self.crowd.random.choice(self.crowd.addresses)
        self._open = False
        if sock.connect_ex((host, port)) not in (0, errno.EINPROGRESS):
            self.lose()
            return
        self.crowd.watch(self, sock, select.EPOLLOUT)

    def cut(self) -> None:
        """Break the connection without a word."""
        if self.sock is not None:
            with suppress(OSError):
                reset_on_close(self.sock)
            self.crowd.ledger.counts["cuts"] += self.live
            self.lose()

    def lose(self) -> None:
        """Let go of the connection, and connect again after a while."""
        if self.sock is not None:
            self.crowd.unwatch(self.sock)
            self.sock.close()
        self.sock, self.live = None, False
        self._buffer.clear()
        self.crowd.soon(self)

    def ready(self, events: int) -> None:
        """Go on: the kernel has something."""
        try:
            if not self._open:
                self._opened()
            if events & ~select.EPOLLOUT:
                self._read()
        except OSError:
            self.lose()

    def _opened(self) -> None:
        assert self.sock is not None
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "cannot connect")
        self._open = True
        self.crowd.rewatch(self.sock, select.EPOLLIN)
        self.sock.sendall(REQUEST)

    def _read(self) -> None:
        assert self.sock is not None
        with suppress(BlockingIOError):
            data = self.sock.recv(READ)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the server has gone")
            if self.live and not self._buffer and (known := self.crowd.known(data)):
                for offset, text in known:
                    self._publication(offset, text)
                return
            self._buffer += data
        if self._buffer.startswith(b"HTTP/"):
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.crowd.ledger.counts[f"answered {head[9:12].decode()}"] += 1
                raise ConnectionRefusedError(errno.ECONNREFUSED, "the server refuses us")
            self._buffer = rest
            self._greet()
        for opcode, payload in frames(self._buffer):
            self._take(opcode, payload)

    def _send(self, payload: bytes, opcode: int = TEXT) -> None:
        assert self.sock is not None
        self.sock.sendall(frame(payload, opcode))

    # The protocol

    def _greet(self) -> None:
        """Connect and subscribe in one message, as an SDK does."""
        self._send(b'{"id":1,"connect":{}}\n' + self._subscribe())

    def _subscribe(self) -> bytes:
        place = self.place
        wanted = {} if place is None else {"recover": True, "epoch": place.epoch, "offset": place.offset}
        return json.dumps({"id": 2, "subscribe": {"channel": self.channel, "recoverable": True, **wanted}}).encode()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            for line in payload.split(b"\n"):
                self._line(line)
        elif opcode == PING:
            self._send(payload, PONG)
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2])
            self.crowd.ledger.counts[f"closed {code}"] += 1
            if code not in EXPECTED_CLOSES:
                self.crowd.ledger.fail(f"the server closes: {code} {payload[2:].decode()}")
            raise ConnectionResetError(errno.ECONNRESET, "the server closes")

    def _line(self, line: bytes) -> None:
        found = PUBLICATION.fullmatch(line)
        if found is not None:
            if not self.live:
                self.crowd.ledger.fail("a publication came before the reply to the subscription")
            self._publication(int(found[1]), found[2].decode())
        elif line == b"{}":
            self._send(line)
        else:
            self._reply(json.loads(line))

    def _publication(self, offset: int, data: str) -> None:
        assert self.place is not None
        self.place = self.crowd.ledger.publication(self.place, offset, data)
        self.crowd.received += 1

    def _reply(self, answer: dict[str, Any]) -> None:
        ledger = self.crowd.ledger
        if answer.get("push", {}).get("unsubscribe", {}).get("code") == 2500:
            ledger.counts["told to subscribe again"] += 1
            self.live = False
            self._send(self._subscribe())
        elif answer.get("error", {}).get("temporary"):
            ledger.counts[f"error {answer['error']['code']}"] += 1
            raise ConnectionResetError(errno.ECONNRESET, "try again")
        elif answer.get("id") == 2 and "subscribe" in answer:
            self._subscribed(answer["subscribe"])
        elif "connect" not in answer:
            ledger.fail(f"a message that nobody expects: {answer}")

    def _subscribed(self, result: dict[str, Any]) -> None:
        ledger, before = self.crowd.ledger, self.place
        newest = Place(result["epoch"], result.get("offset", 0))
        publications = result.get("publications", ())
        self.live = True
        if before is not None and result.get("recovered"):
            ledger.counts["recovered"] += 1
            ledger.counts["publications recovered"] += len(publications)
            if newest.epoch != before.epoch:
                ledger.fail("recovered into another epoch")
            for one in publications:
                self.place = before = ledger.publication(before, one["offset"], one["data"])
            return
        self.place = newest
        if publications:
            ledger.fail("a part was given to a client that has not recovered")
        if before is not None:
            self.refusals += 1
            ledger.refused(before, newest)


class Crowd:
    """All clients.

    Args:
        ledger: Their account.
        size: Their number.
        channels: The channels, to one of which each is subscribed.
        random: Chooses servers, and the time until a client comes back.
    """

    def __init__(self, ledger: Ledger, size: int, channels: Sequence[str], random: Random) -> None:
        self.ledger = ledger
        self.random = random
        self.addresses: list[tuple[str, int]] = []
        self.pause = 0.2
        """Seconds until a client comes back, at most."""
        self.received = 0
        self.readers = [Reader(self, channels[number % len(channels)]) for number in range(size)]
        self._poller = select.epoll()
        self._by_fd: dict[int, Reader] = {}
        self._due: list[tuple[float, int, Reader]] = []
        self._known: dict[bytes, list[tuple[int, str]]] = {}
        self._numbers = count()

    def known(self, data: bytes) -> list[tuple[int, str]] | None:
        """Return the publications that are all of some bytes, which many readers of a channel get; None for others."""
        found = self._known.get(data)
        if found is None:
            buffer = bytearray(data)
            matched = [PUBLICATION.fullmatch(payload) for _, payload in frames(buffer)]
            if buffer or not all(matched):
                return None
            if len(self._known) == KNOWN:
                self._known.clear()
            found = self._known[data] = [(int(one[1]), one[2].decode()) for one in matched if one is not None]
        return found

    def watch(self, reader: Reader, sock: socket.socket, events: int) -> None:
        """Have a reader learn of its socket."""
        self._by_fd[sock.fileno()] = reader
        self._poller.register(sock, events)

    def rewatch(self, sock: socket.socket, events: int) -> None:
        """Change the events of a socket."""
        self._poller.modify(sock, events)

    def unwatch(self, sock: socket.socket) -> None:
        """Forget a socket."""
        if self._by_fd.pop(sock.fileno(), None) is not None:
            self._poller.unregister(sock)

    def soon(self, reader: Reader) -> None:
        """Have a reader connect again after a while."""
        at = trio.current_time() + self.random.uniform(0.0, self.pause)
        heappush(self._due, (at, next(self._numbers), reader))

    async def run(self) -> None:
        """Serve all clients until cancelled."""
        for reader in self.readers:
            self.soon(reader)
        try:
            while True:
                now = trio.current_time()
                while self._due and self._due[0][0] <= now:
                    heappop(self._due)[2].connect()
                with trio.move_on_at(self._due[0][0] if self._due else now + 1):
                    await trio.lowlevel.wait_readable(self._poller.fileno())
                for fd, events in self._poller.poll(0):
                    if fd in self._by_fd:
                        self._by_fd[fd].ready(events)
        finally:
            for reader in self.readers:
                if reader.sock is not None:
                    reader.sock.close()
            self._poller.close()

    async def cut_at_random(self, every: float) -> None:
        """Cut a client now and then, until cancelled."""
        while True:
            await trio.sleep(every)
            self.random.choice(self.readers).cut()
