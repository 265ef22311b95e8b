"""The pump: each end, stall and loss arrives at the other side as the connection without a pump would have it."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import pytest
import trio

from tests.certificates import make_contexts
from tests.patience import PATIENCE
from tests.resets import reset, reset_on_close
from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.pump import AT_ONCE, UNWATCHED, Pump
from wsframe.net.socket_options import close_for_good, tune
from wsframe.net.transport import FAREWELL, Transport

SERVER, CLIENT = make_contexts()
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


def quiet(sock: socket.socket) -> bool:
    """Return whether nothing has come, no byte and no end."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


# Bytes


async def test_bytes_go_both_ways_in_order(rig: Rig) -> None:
    rig.client.send(b"to the owner")
    rig.owner.send(b"to the client")
    assert rig.received(rig.owner, 12) == b"to the owner"
    assert rig.received(rig.client, 13) == b"to the client"
    assert rig.seen == b"to the client"


async def test_early_bytes_come_before_those_of_the_client() -> None:
    rig = Rig(early=b"header ")
    rig.client.send(b"bytes")
    assert rig.received(rig.owner, 12) == b"header bytes"
    rig.close()


async def test_megabytes_arrive_whole_in_both_directions(rig: Rig) -> None:
    data = bytes(range(256)) * 8192
    waiting = {rig.client: memoryview(data), rig.owner: memoryview(data)}
    got: dict[socket.socket, bytearray] = {rig.client: bytearray(), rig.owner: bytearray()}

    def step() -> bool:
        for sock, rest in waiting.items():
            with suppress(BlockingIOError):
                waiting[sock] = rest[sock.send(rest[:50_000]) :]
            with suppress(BlockingIOError):
                got[sock] += sock.recv(70_000)
        return all(len(one) == len(data) for one in got.values())

    rig.run(step)
    assert got[rig.client] == got[rig.owner] == data


# Rule 1: one read in hand


@pytest.mark.parametrize("side", ["client", "owner"])
async def test_it_reads_from_one_side_only_while_the_other_has_taken_all(rig: Rig, side: str) -> None:
    source, sink = (rig.client, rig.owner) if side == "client" else (rig.owner, rig.client)
    rig.fill(source)
    assert 0 < rig.pump.held <= AT_ONCE
    rig.rest()  # and does not spin
    sink.send(b"the other way is free")
    assert rig.received(source, 21) == b"the other way is free"


async def test_an_idle_pump_holds_nothing(rig: Rig) -> None:
    rig.client.send(b"x" * 10_000)
    rig.received(rig.owner, 10_000)
    assert rig.pump.held == 0


# Rule 3: the client's stall, here


async def test_a_client_that_takes_nothing_is_reset(rig: Rig) -> None:
    rig.fill(rig.owner)
    rig.wait(STALL + 1)
    assert rig.pump.reason == "write stall"
    assert rig.end_of(rig.client) == "reset"
    assert rig.end_of(rig.owner) in ("end", "reset")


async def test_a_slow_client_that_takes_some_is_not(rig: Rig) -> None:
    rig.fill(rig.owner)
    for _ in range(4):
        rig.wait(STALL * 0.7)
        rig.received(rig.client, 100_000)
        rig.fill(rig.owner)
    assert not rig.pump.over


class Ciphertext:
    """A client's transport with TLS: its kernel takes a part of the ciphertext at a time, and no more plaintext."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.waiting = 100_000
        self.unsent = True
        self.takes = 0

    def send(self, data: memoryview) -> int:
        raise BlockingIOError

    def pump(self) -> bool:
        self.waiting -= self.takes
        return False

    def in_kernel(self) -> int:
        return 10_000

    def close(self, *, reset: bool) -> None: ...


@pytest.mark.parametrize("takes", [1, 0])
async def test_ciphertext_that_the_kernel_takes_is_progress(takes: int) -> None:
    client, now = Ciphertext(), 0.0
    ours, theirs = socket.socketpair()
    with theirs:
        pump = Pump(cast(Transport, client), ours, write_stall=STALL, clock=lambda: now)
        buffer = memoryview(bytearray(AT_ONCE))
        pump.turn(buffer)
        client.takes = takes
        for _ in range(4):
            now += STALL * 0.7
            pump.turn(buffer, WRITE)
            pump.check()
        assert pump.reason == ("" if takes else "write stall")
        pump.abort("the test is over")
        pump.close()


async def test_an_owner_that_takes_nothing_is_waited_for(rig: Rig) -> None:
    rig.fill(rig.client)
    rig.wait(10 * STALL)
    assert not rig.pump.over


# Rule 4: half-closes


async def test_the_clients_end_is_a_half_close_after_its_bytes(rig: Rig) -> None:
    rig.client.send(b"last words")
    rig.client.shutdown(socket.SHUT_WR)
    assert rig.received(rig.owner, 10) == b"last words"
    assert rig.end_of(rig.owner) == "end"
    rig.owner.send(b"and the answer")
    assert rig.received(rig.client, 14) == b"and the answer"
    rig.rest()
    assert not rig.pump.over


async def test_the_owners_end_is_a_half_close_after_its_bytes(rig: Rig) -> None:
    rig.owner.send(b"last words")
    rig.owner.shutdown(socket.SHUT_WR)
    assert rig.received(rig.client, 10) == b"last words"
    assert rig.end_of(rig.client) == "end"
    rig.client.send(b"and the answer")
    assert rig.received(rig.owner, 14) == b"and the answer"
    rig.rest()
    assert not rig.pump.over


@pytest.mark.parametrize("first", ["client", "owner"])
async def test_both_ends_are_the_end_of_the_pump(rig: Rig, first: str) -> None:
    ends = [rig.client, rig.owner] if first == "client" else [rig.owner, rig.client]
    for end, other in (ends, reversed(ends)):
        end.shutdown(socket.SHUT_WR)
        assert rig.end_of(other) == "end"
    rig.wait(1)
    assert rig.pump.over
    assert rig.pump.reason == ""


async def test_a_client_that_has_ended_and_takes_its_answer_late_gets_it_whole(rig: Rig) -> None:
    rig.client.shutdown(socket.SHUT_WR)
    rig.run(lambda: not quiet(rig.owner))
    sent = rig.fill(rig.owner)
    close_for_good(rig.owner)
    rig.wait(STALL * 0.9)
    assert not rig.pump.over
    rig.received(rig.client, sent)
    assert rig.end_of(rig.client) == "end"
    rig.wait(1)
    assert rig.pump.over


async def test_a_client_that_has_ended_and_takes_nothing_is_reset(rig: Rig) -> None:
    rig.client.shutdown(socket.SHUT_WR)
    rig.run(lambda: not quiet(rig.owner))
    rig.fill(rig.owner)
    close_for_good(rig.owner)
    rig.wait(3 * STALL)
    assert rig.pump.over
    assert rig.end_of(rig.client) == "reset"


async def test_an_owner_that_closes_after_its_end_leaves_the_client_an_end(rig: Rig) -> None:
    rig.owner.send(b"bye")
    rig.owner.shutdown(socket.SHUT_WR)
    assert rig.received(rig.client, 3) == b"bye"
    rig.rest()
    rig.owner.close()
    rig.rest()
    assert rig.end_of(rig.client) == "end"
    rig.client.send(b"nobody reads this")
    rig.wait(FAREWELL + 1)
    assert rig.pump.over
    assert rig.pump.reason == ""


async def test_an_end_is_noted_while_the_client_takes_nothing(rig: Rig) -> None:
    sent = rig.fill(rig.owner)
    rig.owner.shutdown(socket.SHUT_WR)
    rig.rest()
    rig.owner.close()
    rig.rest()
    assert not rig.pump.over
    rig.received(rig.client, sent)
    assert rig.end_of(rig.client) == "end"


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR])
async def test_an_answer_that_its_owner_ends_at_once_arrives(rig: Rig, how: int) -> None:
    rig.owner.send(b"HTTP/1.1 503")
    rig.owner.shutdown(how)
    rig.owner.close()
    assert rig.received(rig.client, 12) == b"HTTP/1.1 503"
    assert rig.end_of(rig.client) == "end"


async def test_an_owner_that_has_shut_and_takes_nothing_is_gone_where_no_poller_says_so(rig: Rig) -> None:
    rig.owner.shutdown(socket.SHUT_WR)
    rig.rest()
    rig.owner.close()
    rig.client.send(b"nobody reads this")
    assert select.select([rig.pump.client_fd], [], [], PATIENCE)[0]
    rig.turn(of_client=READ)
    assert rig.pump.wanted[1] == UNWATCHED
    rig.client.send(b"nor this")
    rig.wait(FAREWELL + 1)
    assert rig.pump.over
    assert rig.pump.reason == ""


async def test_an_owner_that_has_shut_long_ago_does_not_keep_its_client(rig: Rig) -> None:
    rig.owner.shutdown(socket.SHUT_WR)
    rig.rest()
    rig.wait(3 * STALL)
    assert rig.pump.over
    assert rig.pump.reason == ""


# Rule 5: resets of the owner


async def test_an_owner_that_closes_without_an_end_resets(rig: Rig) -> None:
    rig.owner.send(b"half a fra")
    rig.rest()
    close_for_good(rig.owner, reset=True)
    assert rig.end_of(rig.client) == "reset"
    assert rig.pump.over


async def test_a_reset_overtakes_what_the_client_does_not_take(rig: Rig) -> None:
    rig.fill(rig.owner)
    close_for_good(rig.owner, reset=True)
    rig.rest()
    assert rig.pump.over
    assert rig.end_of(rig.client) == "reset"


async def test_a_killed_owner_is_a_reset(rig: Rig) -> None:
    rig.owner.close()  # as the kernel does for a process that it ends
    assert rig.end_of(rig.client) == "reset"


async def test_an_owner_that_closes_over_unread_bytes_is_a_reset(rig: Rig) -> None:
    rig.client.send(b"x" * 1000)
    rig.rest()
    rig.owner.close()
    assert rig.end_of(rig.client) == "reset"


async def test_a_reset_of_another_machine_is_one_here(between_machines: Rig) -> None:
    rig = between_machines
    reset(rig.owner)
    assert rig.end_of(rig.client) == "reset"


async def test_an_end_of_another_machine_is_one_here(between_machines: Rig) -> None:
    rig = between_machines
    rig.owner.send(b"bye")
    rig.owner.close()
    assert rig.received(rig.client, 3) == b"bye"
    assert rig.end_of(rig.client) == "end"
    rig.client.close()
    rig.wait(FAREWELL + 1)
    assert rig.pump.over


# Rule 6: loss of the client


async def test_a_reset_of_the_client_is_the_end_of_the_owner(rig: Rig) -> None:
    reset(rig.client)
    assert rig.end_of(rig.owner) == "end"
    assert rig.pump.over


async def test_bytes_before_a_reset_are_delivered(rig: Rig) -> None:
    sent = rig.fill(rig.client)
    reset_on_close(rig.client)
    held = rig.pump.held
    assert held
    rig.client.close()
    rig.rest()
    assert not rig.pump.over
    got = 0
    while True:
        rig.rest()
        data = rig.owner.recv(65536)
        if not data:
            break
        got += len(data)
    assert held < got <= sent


async def test_a_lost_client_is_not_kept_for_an_owner_that_reads_nothing(rig: Rig) -> None:
    rig.fill(rig.client)
    reset(rig.client)
    rig.rest()
    rig.wait(STALL + 1)
    assert rig.pump.over


# Ended from here


async def test_leaving_gives_the_client_last_bytes_and_the_owner_the_end(rig: Rig) -> None:
    rig.owner.send(b"frame")
    rig.rest()
    rig.pump.leave(b" close")
    assert rig.received(rig.client, 11) == b"frame close"
    assert rig.end_of(rig.client) == "end"
    assert rig.end_of(rig.owner) == "end"
    rig.client.close()
    rig.wait(FAREWELL + 1)
    assert rig.pump.over


async def test_leaving_reads_nothing_of_a_tls_client_that_was_lost() -> None:
    rig = Rig()
    theirs = Transport(rig.client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.transport.start_tls, SERVER)
        nursery.start_soon(theirs.start_tls, CLIENT, "127.0.0.1")
    for _ in range(100):
        with suppress(BlockingIOError):
            theirs.send(b"x" * 65536)
        rig.poll()
    theirs.close(reset=True)
    rig.rest()
    assert rig.pump.held
    rig.pump.leave(b"close")
    rig.wait(FAREWELL + 1)
    assert rig.pump.over
    rig.close()


async def test_a_client_that_goes_on_after_the_end_has_a_second(rig: Rig) -> None:
    rig.pump.leave(b"")
    for _ in range(8):
        with suppress(OSError):
            rig.client.send(b"more")
        rig.wait(FAREWELL / 4)
    assert rig.pump.over


def test_the_events_of_an_end_are_those_of_the_kernel() -> None:
    assert (select.POLLRDHUP, select.POLLERR | select.POLLHUP) == (END, GONE)
