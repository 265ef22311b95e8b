"""The promises of each poller: the same tests for epoll and for trio's tasks."""

import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.hostile.place import BOUND
from tests.pollers import POLLERS
from wsframe.net.poller import END, GONE, READ, WRITE, Poller, TaskPoller, make_poller
from wsframe.net.socket_options import reset_on_close

Name: TypeAlias = Literal["epoll", "task"]

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this platform has no epoll")


@pytest.fixture(params=POLLERS)
def name(request: pytest.FixtureRequest) -> Name:
    chosen: Name = request.param
    return chosen


@pytest.fixture
async def poller(name: Name, nursery: trio.Nursery) -> AsyncIterator[Poller]:
    poller = make_poller(name, nursery)
    yield poller
    poller.close()


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make a TCP connection to ourselves."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as theirs,
    ):
        ours, _ = listening.accept()
        with ours:
            ours.setblocking(False)
            yield ours, theirs


async def ready(poller: Poller) -> dict[int, int]:
    """Wait for something to be ready; a poller may wake for nothing."""
    with trio.fail_after(BOUND):
        while True:
            await poller.wait()
            found = dict(poller.poll())
            if found:
                return found


async def quiet(poller: Poller) -> bool:
    """Tell whether nothing is reported, by the time everything that can run has run."""
    for _ in range(3):
        with trio.move_on_after(0.02):
            await poller.wait()
        if poller.poll():
            return False
    return True


async def test_reading_is_reported_for_as_long_as_there_is_something_to_read(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        assert await quiet(poller)
        theirs.send(b"ab")
        assert await ready(poller) == {ours.fileno(): READ}
        ours.recv(1)
        assert await ready(poller) == {ours.fileno(): READ}
        ours.recv(1)
        assert await quiet(poller)
        theirs.shutdown(socket.SHUT_WR)
        assert await ready(poller) == {ours.fileno(): READ}


async def test_add_of_a_watched_socket_changes_its_mask(poller: Poller) -> None:
    with connected() as (ours, theirs), trio.fail_after(BOUND):
        poller.add(ours.fileno(), 0)
        poller.add(ours.fileno(), READ)
        theirs.send(b"x")
        await poller.wait()
        assert poller.poll() == [(ours.fileno(), READ)]
        poller.forget(ours.fileno())


async def test_writing_is_reported_while_there_is_room_in_the_kernel(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ | WRITE)
        assert await ready(poller) == {ours.fileno(): WRITE}
        with suppress(BlockingIOError):
            while True:
                ours.send(bytes(1_000_000))
        assert await quiet(poller)
        theirs.settimeout(BOUND)
        while not poller.poll():
            theirs.recv(1_000_000)
            with trio.move_on_after(0.01):
                await poller.wait()
        poller.watch(ours.fileno(), READ)
        assert await quiet(poller)


async def test_both_directions_are_reported(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ | WRITE)
        theirs.send(b"x")
        flags = 0
        while flags != READ | WRITE:
            flags |= (await ready(poller))[ours.fileno()]


async def test_mask_of_0_keeps_quiet_about_data_and_about_the_end_of_it(poller: Poller) -> None:
    """A paused client: neither its data nor its FIN may make the reactor turn."""
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        poller.watch(ours.fileno(), 0)
        theirs.send(b"x")
        theirs.shutdown(socket.SHUT_WR)
        assert await quiet(poller)
        poller.watch(ours.fileno(), READ)
        assert await ready(poller) == {ours.fileno(): READ}


@pytest.mark.parametrize("unread", [b"", b"x"])
@pytest.mark.parametrize("how", ["shut", "closed", "reset"])
async def test_end_is_reported_whatever_there_is_to_read_before_it(poller: Poller, how: str, unread: bytes) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        poller.watch(ours.fileno(), END)
        theirs.sendall(unread)
        assert await quiet(poller), "there is no end yet"
        if how == "shut":
            theirs.shutdown(socket.SHUT_WR)
        elif how == "reset":
            reset_on_close(theirs)
        if how != "shut":
            theirs.close()
        assert (await ready(poller))[ours.fileno()] & (END | GONE)
        poller.watch(ours.fileno(), 0)
        if how != "reset":
            assert await quiet(poller), "once it has been taken out"


async def test_end_of_a_unix_socket_is_reported(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.watch(ours.fileno(), END)
        theirs.send(b"x")
        theirs.shutdown(socket.SHUT_WR)
        assert (await ready(poller))[ours.fileno()] & END


async def test_end_is_not_reported_where_it_is_not_asked_for_any_more(poller: Poller) -> None:
    with connected() as (ours, theirs):
        for mask in (END, READ, END, 0, END, WRITE, READ, 0):
            poller.watch(ours.fileno(), mask)
        theirs.shutdown(socket.SHUT_WR)
        assert await quiet(poller)
        poller.watch(ours.fileno(), READ)
        assert await ready(poller) == {ours.fileno(): READ}


async def test_pausing_between_wait_and_poll_is_obeyed(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        theirs.send(b"x")
        await poller.wait()
        poller.watch(ours.fileno(), 0)
        assert poller.poll() == []
        assert await quiet(poller)


async def test_watching_pausing_and_watching_again_at_once_is_no_conflict(poller: Poller) -> None:
    """A client may be paused and resumed before its waiting task has even begun to wait."""
    with connected() as (ours, theirs):
        for _ in range(20):
            for mask in (READ, 0, READ, READ | WRITE, 0, READ):
                poller.watch(ours.fileno(), mask)
            await trio.testing.wait_all_tasks_blocked()
        theirs.send(b"x")
        assert await ready(poller) == {ours.fileno(): READ}


@needs_epoll
@pytest.mark.parametrize("name", ["epoll"])
async def test_reset_of_a_paused_client_is_gone(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), 0)
        reset_on_close(theirs)
        theirs.close()
        assert (await ready(poller))[ours.fileno()] & GONE
        poller.forget(ours.fileno())
        assert await quiet(poller)


async def test_reset_of_a_watched_client_shows_when_it_is_read(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        theirs.send(b"last")
        reset_on_close(theirs)
        theirs.close()
        assert (await ready(poller))[ours.fileno()] & READ
        assert ours.recv(10) == b"last"
        assert (await ready(poller))[ours.fileno()] & READ
        with pytest.raises(ConnectionResetError):
            ours.recv(10)


async def test_forgotten_socket_is_not_reported(poller: Poller) -> None:
    with connected() as (ours, theirs), connected() as (other, their_other):
        for sock in (ours, other):
            poller.watch(sock.fileno(), READ)
        theirs.send(b"x")
        their_other.send(b"x")
        found = await ready(poller)
        while len(found) < 2:
            found |= await ready(poller)
        poller.forget(ours.fileno())
        assert await ready(poller) == {other.fileno(): READ}


async def test_socket_forgotten_between_wait_and_poll_is_not_reported(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        theirs.send(b"x")
        await poller.wait()
        poller.forget(ours.fileno())
        assert poller.poll() == []


async def test_number_of_a_closed_socket_may_be_used_again(poller: Poller) -> None:
    """The new socket must not inherit the state of the old one."""
    with connected() as (ours, theirs), connected() as (later, their_later):
        number = ours.fileno()
        poller.watch(number, READ)
        theirs.send(b"x")
        await poller.wait()
        poller.forget(number)
        duplicate = socket.fromfd(later.fileno(), later.family, later.type)
        ours.close()
        with duplicate, socket.socket(fileno=_dup_to(duplicate, number)) as reused:
            assert reused.fileno() == number
            poller.watch(number, READ)
            assert await quiet(poller)
            their_later.send(b"y")
            assert await ready(poller) == {number: READ}
            poller.forget(number)


def _dup_to(sock: socket.socket, number: int) -> int:
    import os

    return os.dup2(sock.fileno(), number, inheritable=False)


async def test_wait_can_be_cancelled_and_taken_up_again(poller: Poller) -> None:
    with connected() as (ours, theirs):
        poller.watch(ours.fileno(), READ)
        for _ in range(3):
            with trio.CancelScope() as scope:
                scope.cancel()
                await poller.wait()
        theirs.send(b"x")
        assert await ready(poller) == {ours.fileno(): READ}


async def test_wake_ends_one_wait_and_reports_no_socket(poller: Poller) -> None:
    with connected() as (ours, _):
        poller.watch(ours.fileno(), READ)
        for times in (1, 1, 3):
            for _ in range(times):
                poller.wake()
            with trio.fail_after(BOUND):
                await poller.wait()
            assert ours.fileno() not in dict(poller.poll())
            with trio.move_on_after(0.05) as scope:
                await poller.wait()
            assert scope.cancelled_caught, "it was told once"


async def test_wake_reaches_a_task_that_waits_already(poller: Poller, nursery: trio.Nursery) -> None:
    nursery.start_soon(poller.wait)
    await wait_all_tasks_blocked(0.01)
    poller.wake()


async def test_many_sockets_are_reported_in_one_poll(poller: Poller) -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    for ours, theirs in pairs:
        poller.watch(ours.fileno(), READ)
        theirs.send(b"x")
    found: set[int] = set()
    while len(found) < 50:
        found |= set(await ready(poller))
    assert found == {ours.fileno() for ours, _ in pairs}
    for ours, theirs in pairs:
        poller.forget(ours.fileno())
        ours.close()
        theirs.close()


async def test_forget_of_what_was_never_watched_does_no_harm(poller: Poller) -> None:
    with connected() as (ours, _):
        poller.forget(ours.fileno())


@needs_epoll
async def test_close_wakes_who_waits_for_epoll(nursery: trio.Nursery) -> None:
    """Else the waiting task would hang for ever on a descriptor that is no more."""
    poller = make_poller("epoll", nursery)
    woken = trio.Event()

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await poller.wait()
        woken.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    poller.close()
    with trio.fail_after(BOUND):
        await woken.wait()


async def test_close_of_the_task_poller_ends_its_tasks() -> None:
    with connected() as (ours, _):
        with trio.fail_after(BOUND):
            async with trio.open_nursery() as nursery:
                poller = TaskPoller(nursery)
                poller.watch(ours.fileno(), READ | WRITE)
                poller.watch(ours.fileno(), READ)
                await trio.testing.wait_all_tasks_blocked()
                poller.close()


async def test_auto_takes_the_best_poller_and_an_unknown_one_is_refused(nursery: trio.Nursery) -> None:
    poller = make_poller("auto", nursery)
    assert type(poller).__name__ == ("EpollPoller" if hasattr(select, "epoll") else type(poller).__name__)
    poller.close()
    if hasattr(select, "epoll"):
        with pytest.raises(ValueError, match="no poller 'kqueue'"):
            make_poller("kqueue", nursery)
