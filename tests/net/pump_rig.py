"""A pump between a TCP connection and its owner's socket, turned by hand."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.patience import PATIENCE
from wsframe.net.pump import AT_ONCE, UNWATCHED, Pump
from wsframe.net.socket_options import tune
from wsframe.net.transport import Transport

STALL = 30.0


class Rig:
    """A pump between a TCP connection and a pair of unix sockets, with a clock of its own."""

    def __init__(self, early: bytes = b"", owner: str = "unix") -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
            if owner == "unix":
                ours, self.owner = socket.socketpair(socket.AF_UNIX)
            else:
                ours = socket.create_connection(listening.getsockname())
                self.owner, _ = listening.accept()
        for sock in (accepted, ours, self.client, self.owner):
            sock.setblocking(False)
        tune(accepted, 16384, STALL)
        self.now = 0.0
        self.seen = bytearray()
        self.transport = Transport(accepted)
        self.pump = Pump(self.transport, ours, early, write_stall=STALL, clock=lambda: self.now, seen=self.seen.extend)
        self._buffer = memoryview(bytearray(AT_ONCE))
        self._closed = False
        self.turn()

    def turn(self, of_client: int = 0, of_owner: int = 0) -> None:
        self.pump.turn(self._buffer, of_client, of_owner)
        self.close_if_over()

    def close_if_over(self) -> None:
        if self.pump.over and not self._closed:
            self._closed = True
            self.pump.close()

    def poll(self) -> bool:
        """Have the pump take its turn for the events that are there; return whether there was any."""
        if self.pump.over:
            return False
        asking = select.poll()
        for fd, mask in zip((self.pump.client_fd, self.pump.owner_fd), self.pump.wanted, strict=True):
            if mask != UNWATCHED:
                asking.register(fd, mask)
        found = dict(asking.poll(0))
        client = self.pump.client_fd
        for fd, events in found.items():
            if not self.pump.over:
                self.turn(*((events, 0) if fd == client else (0, events)))
        return bool(found)

    def run(self, until: object) -> None:
        """Turn until something is true."""
        assert callable(until)
        late = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < late, "it never comes true"
            if not self.poll():
                time.sleep(0.001)

    def rest(self) -> None:
        """Turn until nothing happens."""
        quiet = 0
        late = time.monotonic() + PATIENCE
        while quiet < 5:
            assert time.monotonic() < late, "it never rests: the poller would spin"
            quiet = 0 if self.poll() else quiet + 1
            time.sleep(0.001)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the looks that are due in it."""
        end = self.now + seconds
        while self.pump.due <= end:
            self.now = max(self.now, self.pump.due)
            self.rest()
            self.pump.check()
            self.close_if_over()
        self.now = end
        self.rest()

    def received(self, sock: socket.socket, count: int) -> bytes:
        """Read so many bytes at one of the far ends, while the pump turns."""
        data = bytearray()

        def read() -> bool:
            with suppress(BlockingIOError):
                data.extend(sock.recv(count - len(data)))
            return len(data) >= count

        self.run(read)
        return bytes(data)

    def end_of(self, sock: socket.socket) -> str:
        """Return how a connection ends at one of the far ends: ``"end"`` or ``"reset"``; bytes before are dropped."""
        ends: list[str] = []

        def read() -> bool:
            try:
                if not sock.recv(65536):
                    ends.append("end")
            except BlockingIOError:
                pass
            except ConnectionResetError:
                ends.append("reset")
            return bool(ends)

        self.run(read)
        return ends[0]

    def fill(self, sock: socket.socket) -> int:
        """Send until nothing is taken any more; return the number of bytes."""
        sent = 0
        while True:
            try:
                sent += sock.send(b"x" * 65536)
            except BlockingIOError:
                if not self.poll():
                    time.sleep(0.002)
                    if not self.poll() and not select.select([], [sock], [], 0)[1]:
                        return sent

    def close(self) -> None:
        self.pump.abort("test is over")
        self.close_if_over()
        self.client.close()
        self.owner.close()


@pytest.fixture
async def rig() -> Iterator[Rig]:  # type: ignore[misc]
    made = Rig()
    yield made
    made.close()


@pytest.fixture
async def between_machines() -> Iterator[Rig]:  # type: ignore[misc]
    made = Rig(owner="tcp")
    yield made
    made.close()
