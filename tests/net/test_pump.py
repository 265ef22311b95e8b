"""The pump: bytes go both ways in order, one read in hand, and a client that takes nothing is reset."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import cast

import pytest
import trio

from tests.certificates import make_contexts
from tests.net.pump_rig import STALL, Rig
from wsframe.net.poller import END, GONE, WRITE
from wsframe.net.pump import AT_ONCE, Pump
from wsframe.net.transport import FAREWELL, Transport

SERVER, CLIENT = make_contexts()


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
    rig.wait(3 * STALL)  # on a busy machine the kernel moves bytes until after the first look
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
