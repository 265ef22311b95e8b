"""Whether a peer is still there, asked of its socket."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from wsframe.net.socket_options import reset_on_close
from wsframe.net.sockets import ended_by_peek, ended_by_poll, has_ended, has_unread

Pair = tuple[socket.socket, socket.socket]

ASKED: list[Callable[[int], bool]] = [ended_by_peek]
if sys.platform == "linux":
    ASKED += [ended_by_poll, has_ended]


@pytest.fixture(params=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Give both ends of a connection, of which ours does not block."""
    if request.param == "unix":
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            theirs = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.mark.parametrize("ended", ASKED)
def test_end_of_a_peer_is_told(pair: Pair, ended: Callable[[int], bool]) -> None:
    ours, theirs = pair
    assert not ended(ours.fileno())
    theirs.shutdown(socket.SHUT_WR)
    assert ended(ours.fileno())
    assert ours.recv(1) == b"", "nothing is taken by asking"


@pytest.mark.parametrize("ended", ASKED)
def test_reset_of_a_peer_is_told(pair: Pair, ended: Callable[[int], bool]) -> None:
    ours, theirs = pair
    reset_on_close(theirs)
    theirs.close()
    assert ended(ours.fileno())


@pytest.mark.parametrize("ended", ASKED)
def test_bytes_of_a_peer_that_is_there_are_no_end(pair: Pair, ended: Callable[[int], bool]) -> None:
    ours, theirs = pair
    theirs.send(b"xy")
    assert not ended(ours.fileno())
    assert ours.recv(2) == b"xy"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no name for it")
def test_end_behind_bytes_that_are_not_read_is_told(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    theirs.close()
    assert has_ended(ours)
    assert has_unread(ours)
    assert ours.recv(1) == b"x"
    assert has_ended(ours)
    assert not has_unread(ours)
