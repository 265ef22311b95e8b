"""Doors: a socket goes through whole, unread, or not at all."""

from __future__ import annotations

import array
import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.descriptors import none_stays_open
from wsframe.workers.door import HEADROOM, LostDescriptor, Passed, give, has_headroom, make_door, take

if sys.platform == "win32":
    pytest.skip("no sockets pass between processes", allow_module_level=True)

import resource

PASSED = Passed(12.5, 1, 17)


class Door:
    def __init__(self) -> None:
        self.sending, self.receiving = make_door()

    def close(self) -> None:
        self.sending.close()
        self.receiving.close()


@pytest.fixture
def door() -> Iterator[Door]:
    with closing(Door()) as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        return client, listening.accept()[0]


def test_a_newcomer_arrives_with_all_that_it_has_sent(door: Door) -> None:
    client, accepted = connected()
    with client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n\x81\x80abcd")
        assert give(door.sending, accepted, PASSED)
        accepted.close()
        taken = take(door.receiving)
        assert taken is not None
        sock, passed = taken
        with sock:
            assert passed == PASSED
            assert sock.getpeername() == client.getsockname()
            sock.setblocking(True)
            assert sock.recv(100) == b"GET / HTTP/1.1\r\n\r\n\x81\x80abcd"


def test_an_empty_door_has_nobody(door: Door) -> None:
    assert take(door.receiving) is None


def test_newcomers_arrive_in_order(door: Door, pair: tuple[socket.socket, socket.socket]) -> None:
    for number in range(50):
        assert give(door.sending, pair[0], Passed(0.0, 0, number))
    found = []
    while (taken := take(door.receiving)) is not None:
        taken[0].close()
        found.append(taken[1].partition)
    assert found == list(range(50))


def test_4_a_full_door_refuses_without_a_wait(door: Door, pair: tuple[socket.socket, socket.socket]) -> None:
    given = 0
    while give(door.sending, pair[0], PASSED):
        given += 1
        assert given < 100_000
    assert given > 10
    taken = take(door.receiving)
    assert taken is not None
    taken[0].close()
    while (taken := take(door.receiving)) is not None:
        taken[0].close()
    assert give(door.sending, pair[0], PASSED)


def test_3_newcomers_outlive_the_worker_whose_door_they_wait_in(door: Door) -> None:
    client, accepted = connected()
    with client:
        worker = door.receiving.dup()
        give(door.sending, accepted, PASSED)
        accepted.close()
        worker.close()  # the worker dies, and its successor inherits the same end
        taken = take(door.receiving)
        assert taken is not None
        taken[0].close()


def test_a_socket_that_came_through_is_not_inherited_by_children(
    door: Door, pair: tuple[socket.socket, socket.socket]
) -> None:
    give(door.sending, pair[0], PASSED)
    taken = take(door.receiving)
    assert taken is not None
    with taken[0] as sock:
        assert not sock.get_inheritable()
        assert not sock.getblocking()


def limited(most: int) -> ExitStack:
    """Let this process have no descriptor from a number on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    stack = ExitStack()
    stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    return stack


def lowest() -> int:
    number = os.dup(0)
    os.close(number)
    return number


def test_12_there_is_no_headroom_near_the_limit_of_descriptors(door: Door) -> None:
    with limited(lowest() + HEADROOM + 20):
        assert has_headroom(door.receiving.fileno())
    with limited(lowest() + HEADROOM - 1):
        assert not has_headroom(door.receiving.fileno())
    with limited(lowest()):
        assert not has_headroom(door.receiving.fileno())


def test_a_descriptor_that_is_lost_is_an_error(door: Door, pair: tuple[socket.socket, socket.socket]) -> None:
    give(door.sending, pair[0], PASSED)
    with limited(lowest()), pytest.raises(LostDescriptor, match="without its descriptor"):
        take(door.receiving)


@pytest.mark.parametrize(("data", "count"), [(b"x", 1), (bytes(16), 1), (bytes(16), 0), (bytes(16), 2), (b"", 1)])
def test_a_message_that_is_not_one_of_a_door_is_an_error_and_leaves_nothing_open(
    door: Door, pair: tuple[socket.socket, socket.socket], data: bytes, count: int
) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pair[0].fileno()] * count))] if count else []
    with none_stays_open():
        door.sending.sendmsg([data], rights)
        with pytest.raises(LostDescriptor, match="not one of a door"):
            take(door.receiving)


def test_a_door_without_a_sending_end_is_over(door: Door) -> None:
    door.sending.close()
    with pytest.raises(EOFError):
        take(door.receiving)


def test_nobody_goes_through_a_door_that_nobody_can_open_any_more(
    door: Door, pair: tuple[socket.socket, socket.socket]
) -> None:
    door.receiving.close()
    assert not give(door.sending, pair[0], PASSED)


class Refusing(socket.socket):
    """A sending end that the kernel answers with an error."""

    number = 0

    def sendmsg(self, *arguments: object) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS, errno.ENOMEM])
def test_3_no_room_for_a_descriptor_on_its_way_is_no_room_now(
    number: int, pair: tuple[socket.socket, socket.socket]
) -> None:
    with Refusing(socket.AF_UNIX) as end:
        end.number = number
        assert not give(end, pair[0], PASSED)


def test_other_errors_of_the_kernel_are_raised(pair: tuple[socket.socket, socket.socket]) -> None:
    with Refusing(socket.AF_UNIX) as end:
        end.number = errno.EBADF
        with pytest.raises(OSError, match="Bad file descriptor"):
            give(end, pair[0], PASSED)


def test_a_system_without_such_sockets_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SOCK_SEQPACKET")
    with pytest.raises(OSError, match="cannot pass sockets"):
        make_door()
