"""Whether a peer is still there, asked of its socket."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from wsframe.net.socket_options import reset_on_close
from wsframe.net.sockets import accept_of, ended_by_peek, has_ended, has_unread

Pair = tuple[socket.socket, socket.socket]

ASKED: list[Callable[[int], bool]] = [ended_by_peek]
if sys.platform == "linux":
    ASKED.append(has_ended)


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the poller does not tell such an end")
def test_end_behind_bytes_that_are_not_read_is_told(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    theirs.close()
    assert has_ended(ours)
    assert has_unread(ours)
    assert ours.recv(1) == b"x"
    assert has_ended(ours)
    assert not has_unread(ours)


PLACES: dict[int, tuple[str, int] | str] = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}
if hasattr(socket, "AF_UNIX"):
    PLACES[socket.AF_UNIX] = ""


@pytest.mark.parametrize("family", PLACES)
def test_accept_is_that_of_python(family: int, tmp_path: Path) -> None:
    with socket.socket(family) as listening:
        listening.bind(PLACES[family] or str(tmp_path / "s"))
        listening.listen()
        listening.setblocking(False)
        accept = accept_of(listening)
        with pytest.raises(BlockingIOError):
            accept()
        found = []
        for take in (listening.accept, accept):
            with socket.socket(family) as peer:
                peer.connect(listening.getsockname())
                ours, address = take()
                with ours:
                    found.append((ours.family, ours.type, ours.proto, os.get_inheritable(ours.fileno())))
                    assert address == (ours.getpeername() if isinstance(address, tuple) else address)
        assert found[0] == found[1]


def test_accept_of_a_stand_in_is_its_own() -> None:
    class Own(socket.socket):
        def accept(self) -> NoReturn:
            raise OSError(errno.EMFILE, "of its own")

    with Own() as listening, pytest.raises(OSError, match="of its own"):
        accept_of(listening)()
