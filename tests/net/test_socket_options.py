"""Socket options: set where they exist, done without where not."""

import socket
import struct
import sys
from contextlib import suppress

import pytest
import trio
import trio.lowlevel

import wsframe
from tests.local_server import local_server_of
from tests.wire import Peer, connected
from wsframe.net import socket_options as socketopts
from wsframe.net.socket_options import acknowledge, keep_alive, reset_on_close, tune, tune_accepted, unsent_in_kernel


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each socket is tuned")
def test_accepted_sockets_begin_as_the_listening_one_is_tuned() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert tune_accepted(listening, 65536, 1.5) == (65536, 1.5)
        with socket.create_connection(listening.getsockname()):
            ours, _ = listening.accept()
            with ours:
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 65536
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each socket is tuned")
async def test_clients_have_the_options_of_their_resource_where_these_differ() -> None:
    class Picky(wsframe.Resource):
        timeouts = wsframe.Timeouts(write_stall=7)

    registry = wsframe.Registry()
    registry.register("/", wsframe.Resource())
    registry.register("/picky", Picky())
    async with (
        wsframe.open_server(registry, port=0, timeouts=wsframe.Timeouts(write_stall=11)) as server,
        connected(server),
        connected(server, "/picky"),
    ):
        found = {}
        for link in local_server_of(server).reactor.links.values():
            sock = link.transport.sock
            assert sock is not None
            found[link.client.request.path] = [
                sock.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_NODELAY, socket.TCP_USER_TIMEOUT)
            ]
    assert found == {"/": [1, 11000], "/picky": [1, 7000]}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each socket is tuned")
async def test_clients_that_connected_before_the_server_began_have_the_same_options() -> None:
    registry = wsframe.Registry()
    registry.register("/", wsframe.Resource())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        early = [Peer(await trio.open_tcp_stream(*listening.getsockname())) for _ in range(2)]
        timeouts = wsframe.Timeouts(write_stall=11)
        async with wsframe.open_server(registry, sockets=[listening], timeouts=timeouts) as server:
            for peer in early:
                assert (await peer.upgrade()).status == 101
            async with connected(server):
                transports = [link.transport for link in local_server_of(server).reactor.links.values()]
                found = [
                    transport.sock.getsockopt(socket.IPPROTO_TCP, option)
                    for transport in transports
                    if isinstance(transport.sock, socket.socket)
                    for option in (socket.TCP_NODELAY, socket.TCP_USER_TIMEOUT)
                ]
            for peer in early:
                peer.hang_up()
    assert found == [1, 11000] * 3
    assert [transport.tuned is None for transport in transports] == [True, True, False], (
        "the last one has inherited them"
    )


def test_acknowledging_is_tried_where_there_is_tcp(tcp: Pair) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        acknowledge(ours)
    acknowledge(tcp[0])
    if hasattr(socket, "TCP_QUICKACK"):
        assert tcp[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)


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
