"""Socket options: set where they exist, done without where not."""

import socket
import struct
from contextlib import suppress

import pytest
import trio
import trio.lowlevel

from wsframe.net import socket_options as socketopts
from wsframe.net.socket_options import keep_alive, reset_on_close, tune, unsent_in_kernel


@pytest.fixture
def tcp() -> object:
    listening = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listening.getsockname())
    ours, _ = listening.accept()
    yield ours, theirs
    for sock in (listening, theirs, ours):
        sock.close()


Pair = tuple[socket.socket, socket.socket]


def test_tune_sets_what_keeps_latency_and_stalls_in_sight(tcp: Pair) -> None:
    ours, _ = tcp
    tune(ours, 65536, 1.5)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 65536
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500


def test_the_kernel_probes_a_silent_peer(tcp: Pair) -> None:
    ours, _ = tcp
    keep_alive(ours, None, 20)
    assert not ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    keep_alive(ours, 0.5, 20)
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1
    keep_alive(ours, 20, 20)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
    probes = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
    assert probes * ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20


def test_and_does_not_where_it_cannot(tcp: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        keep_alive(ours, 1, 1)
    monkeypatch.setattr(socketopts, "TCP_KEEPIDLE", None)
    keep_alive(tcp[0], 1, 1)
    assert tcp[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_unix_sockets_and_other_platforms_go_without(tcp: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        tune(ours, 1, 1)
    monkeypatch.setattr(socketopts, "TCP_NOTSENT_LOWAT", None)
    monkeypatch.setattr(socketopts, "TCP_USER_TIMEOUT", None)
    tune(tcp[0], 1, 1)
    assert tcp[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_close_after_reset_on_close_resets(tcp: Pair) -> None:
    ours, theirs = tcp
    reset_on_close(ours)
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
    ours.close()
    with pytest.raises(ConnectionResetError):
        theirs.recv(1)
    reset_on_close(ours)


async def test_unsent_in_kernel_counts_what_the_peer_has_not_taken(tcp: Pair) -> None:
    ours, theirs = tcp
    assert unsent_in_kernel(ours) == 0
    ours.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += ours.send(bytes(100_000))
    full = unsent_in_kernel(ours)
    assert full is not None
    assert 0 < full <= sent
    theirs.settimeout(120)
    with trio.fail_after(120):
        while (unsent_in_kernel(ours) or 0) >= full:
            theirs.recv(65536)
            await trio.lowlevel.checkpoint()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert unsent_in_kernel(listening) is None
