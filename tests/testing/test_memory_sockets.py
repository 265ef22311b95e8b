"""Sockets in memory act as the kernel's do: each rule is checked on both."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import trio

from wsframe.net.poller import GONE, READ, WRITE, Poller, make_poller
from wsframe.net.socket_options import reset_on_close, tune, unsent_in_kernel
from wsframe.net.sockets import Endpoint, notify_closing, wait_readable, wait_writable
from wsframe.testing.memory_sockets import MemoryListener, MemoryNetwork, pair

MUCH = bytes(8 * 1024 * 1024)


class Rig:
    """A connected pair, and a poller that watches our end."""

    def __init__(self, ours: Endpoint, theirs: Endpoint, poller: Poller) -> None:
        self.ours = ours
        self.theirs = theirs
        self.poller = poller

    async def flags(self, mask: int = READ | WRITE) -> int:
        """Ask the poller for the readiness of our end."""
        self.poller.watch(self.ours.fileno(), mask)
        return dict(self.poller.poll()).get(self.ours.fileno(), 0)

    async def until(self, wanted: int, mask: int = READ | WRITE) -> None:
        """Wait until our end is ready: a kernel may take its time."""
        with trio.fail_after(120):
            while await self.flags(mask) != wanted:  # noqa: ASYNC110
                await trio.sleep(0.001)

    async def until_gone(self) -> None:
        """Wait until our end is told that all is over, though nothing is watched for."""
        with trio.fail_after(120):
            while not await self.flags(0) & GONE:  # noqa: ASYNC110
                await trio.sleep(0.001)

    def fill(self) -> int:
        """Send until the buffers are full; return how much they took."""
        taken = 0
        while True:
            try:
                taken += self.ours.send(MUCH)
            except BlockingIOError:
                return taken


def kernels() -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


@pytest.fixture(params=["memory", *(["kernel"] if hasattr(select, "epoll") else [])])
async def rig(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Rig]:
    ours: Endpoint
    theirs: Endpoint
    poller: Poller
    if request.param == "kernel":
        ours, theirs = kernels()
        poller = make_poller("epoll", nursery)
    else:
        network = MemoryNetwork()
        theirs = network.connect("127.0.0.1", 65536)
        ours, _ = network.listener.accept()
        poller = make_poller(network.make_poller, nursery)
    yield Rig(ours, theirs, poller)
    poller.close()
    ours.close()
    theirs.close()


async def read_until_reset(sock: Endpoint) -> int:
    """Read up to a reset; return how much came before it."""
    read = 0
    with trio.fail_after(120):
        while True:
            await wait_readable(sock)
            try:
                read += len(sock.recv(65536))
            except ConnectionResetError:
                return read


async def test_bytes_arrive_in_order_and_nothing_is_read_before_them(rig: Rig) -> None:
    await rig.until(WRITE)
    with pytest.raises(BlockingIOError):
        rig.ours.recv(10)
    assert [rig.theirs.send(b"one "), rig.theirs.send(memoryview(b"two"))] == [4, 3]
    await rig.until(READ | WRITE)
    assert rig.ours.recv(5) == b"one t"
    assert await rig.flags(READ) == READ, "level-triggered: some is left"
    buffer = bytearray(10)
    assert rig.ours.recv_into(memoryview(buffer)) == 2
    assert bytes(buffer[:2]) == b"wo"
    assert await rig.flags(READ) == 0


async def test_end_of_one_direction_comes_behind_its_bytes_and_leaves_the_other_alone(rig: Rig) -> None:
    rig.theirs.send(b"last")
    rig.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        rig.theirs.send(b"more")
    await rig.until(READ | WRITE)
    assert rig.ours.recv(100) == b"last"
    await rig.until(READ | WRITE)
    assert rig.ours.recv(100) == b""
    assert rig.ours.recv(100) == b"", "the end stays"
    assert rig.ours.send(b"answer") == 6
    await wait_readable(rig.theirs)
    assert rig.theirs.recv(100) == b"answer"
    rig.ours.shutdown(socket.SHUT_WR)
    await rig.until_gone()


async def test_full_buffers_take_nothing_until_a_good_part_is_free(rig: Rig) -> None:
    taken = rig.fill()
    assert taken > 65536
    await rig.until(0)
    assert (unsent_in_kernel(rig.ours) or 0) > 0
    rig.theirs.recv(1)
    assert await rig.flags() == 0
    left = taken - 1
    while await rig.flags() != WRITE:
        left -= len(rig.theirs.recv(8192))
    assert 0 < left < taken - 8192
    assert rig.ours.send(b"x") == 1


async def test_what_is_unsent_shrinks_as_the_peer_reads(rig: Rig) -> None:
    assert unsent_in_kernel(rig.ours) == 0
    rig.fill()
    full = unsent_in_kernel(rig.ours)
    assert full
    with trio.fail_after(120):
        while left := unsent_in_kernel(rig.ours):
            assert left <= full
            await wait_readable(rig.theirs)
            rig.theirs.recv(65536)


@pytest.mark.parametrize("how", ["asked for", "something unread"])
async def test_reset_shows_behind_what_was_received(rig: Rig, how: str) -> None:
    rig.theirs.send(b"last")
    if how == "asked for":
        reset_on_close(rig.theirs)
    else:
        rig.ours.send(b"unread")
        await wait_readable(rig.theirs)
    rig.theirs.close()
    await rig.until_gone()
    assert rig.ours.recv(100) == b"last"
    with pytest.raises(ConnectionResetError):
        rig.ours.recv(100)


async def test_reset_throws_away_what_the_sender_still_held(rig: Rig) -> None:
    taken = rig.fill()
    reset_on_close(rig.ours)
    rig.poller.forget(rig.ours.fileno())
    rig.ours.close()
    read = await read_until_reset(rig.theirs)
    assert 0 < read < taken


async def test_sending_after_a_reset_is_a_broken_pipe(rig: Rig) -> None:
    reset_on_close(rig.theirs)
    rig.theirs.close()
    await rig.until(GONE | READ | WRITE)
    assert rig.ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
    with suppress(ConnectionResetError):  # a kernel says it once
        rig.ours.recv(1)
    with pytest.raises(BrokenPipeError):
        rig.ours.send(b"x")
    with pytest.raises(OSError, match=r"not connected"):
        rig.ours.shutdown(socket.SHUT_WR)


async def test_sending_to_a_closed_peer_is_answered_by_a_reset(rig: Rig) -> None:
    rig.theirs.close()
    await rig.until(READ | WRITE)
    assert rig.ours.recv(100) == b""
    assert rig.ours.send(b"hello?") == 6
    await rig.until(GONE | READ | WRITE)
    with pytest.raises(BrokenPipeError):
        rig.ours.send(b"hello?")


async def test_closed_socket_can_do_nothing_more(rig: Rig) -> None:
    rig.ours.close()
    rig.ours.close()
    for call in (lambda: rig.ours.recv(1), lambda: rig.ours.send(b"x")):
        with pytest.raises(OSError, match=r"."):
            call()
    await wait_readable(rig.theirs)
    assert rig.theirs.recv(1) == b""


async def test_waiting_ends_with_what_is_waited_for(rig: Rig, nursery: trio.Nursery) -> None:
    order: list[str] = []

    async def wait(name: str, what: Callable[[Endpoint], object], sock: Endpoint) -> None:
        await what(sock)  # type: ignore[misc]
        order.append(name)

    rig.fill()
    nursery.start_soon(wait, "bytes", wait_readable, rig.ours)
    nursery.start_soon(wait, "room", wait_writable, rig.ours)
    await trio.testing.wait_all_tasks_blocked()
    assert order == []
    rig.theirs.send(b"x")
    with trio.fail_after(120):
        while order != ["bytes"]:  # noqa: ASYNC110
            await trio.sleep(0.001)
        while order != ["bytes", "room"]:
            with suppress(BlockingIOError):
                rig.theirs.recv(1 << 20)
            await trio.lowlevel.checkpoint()
    notify_closing(rig.ours)


async def test_poller_waits_for_what_it_watches(rig: Rig, nursery: trio.Nursery) -> None:
    woken = trio.Event()

    async def wait() -> None:
        await rig.poller.wait()
        woken.set()

    rig.poller.watch(rig.ours.fileno(), 0)
    rig.theirs.send(b"x")
    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert not woken.is_set()
    rig.poller.watch(rig.ours.fileno(), READ)
    with trio.fail_after(120):
        await woken.wait()
    assert rig.poller.poll() == [(rig.ours.fileno(), READ)]
    rig.poller.forget(rig.ours.fileno())
    rig.poller.forget(rig.ours.fileno())
    assert rig.poller.poll() == []


async def test_options_of_a_client_can_be_set(rig: Rig) -> None:
    tune(rig.ours, 16384, 30)
    assert rig.ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert rig.ours.send(b"x") == 1


def test_listener_that_is_closed_resets_who_waits_and_refuses_others() -> None:
    network = MemoryNetwork()
    waiting = network.connect("127.0.0.1", 100)
    network.listener.close()
    with pytest.raises(ConnectionResetError):
        waiting.recv(1)
    with pytest.raises(ConnectionRefusedError):
        network.connect("127.0.0.1", 100)


def test_nobody_to_accept_is_told_as_a_kernel_does() -> None:
    with pytest.raises(BlockingIOError) as raised:
        MemoryListener().accept()
    assert raised.value.errno == errno.EAGAIN


def test_number_of_a_memory_socket_is_no_descriptor() -> None:
    one, _ = pair((1 << 30, (1 << 30) + 1), 10)
    assert repr(one) == "<MemorySocket 1073741824 [0 bytes to read]>"
    with pytest.raises(OSError, match=r"Bad file descriptor"):
        socket.socket(fileno=one.fileno())
