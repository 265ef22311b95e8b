"""A transport on a pair of sockets: sending and receiving that never wait, waiting apart."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.hostile.place import Certificates
from tests.patience import PATIENCE
from wsframe.net.tls import TLSCodec
from wsframe.net.transport import Transport


@pytest.fixture
async def pair() -> Iterator[tuple[Transport, socket.socket]]:  # type: ignore[misc]
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    transport = Transport(ours)
    yield transport, theirs
    transport.close()
    theirs.close()


Pair = tuple[Transport, socket.socket]


async def test_nothing_to_read_does_not_wait(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        pair[0].receive_now()


async def test_the_end_is_empty(pair: Pair) -> None:
    pair[1].close()
    assert await pair[0].receive_some() == b""


async def test_a_large_message_is_sent_as_the_kernel_takes_it(pair: Pair) -> None:
    ours, theirs = pair
    received = bytearray()

    async def receive() -> None:
        while len(received) < 2**22:
            await trio.lowlevel.wait_readable(theirs)
            received.extend(theirs.recv(2**16))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await ours.send_all(b"x" * 2**22)
    assert len(received) == 2**22


async def test_closing_wakes_who_waits(pair: Pair) -> None:
    ours = pair[0]

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await ours.readable()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    for waiting in (ours.readable, ours.writable):
        with pytest.raises(trio.ClosedResourceError):
            await waiting()
    ours.close()
    assert ours.in_kernel() is None
    assert not ours.unsent


async def test_the_end_of_the_peer_is_awaited_and_its_bytes_are_dropped(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"late")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.end_and_close)
        await trio.testing.wait_all_tasks_blocked()
        assert ours.sock is not None
        assert theirs.recv(1) == b""
        theirs.shutdown(socket.SHUT_WR)
    assert ours.sock is None


async def test_a_peer_that_does_not_end_has_a_second(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    before = trio.current_time()
    await pair[0].await_end()
    assert trio.current_time() - before == 1


async def test_a_peer_that_sends_on_has_only_so_many_bytes(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x" * 1000)
    await ours.await_end(most=1000)
    theirs.send(b"unread")
    assert ours.receive_now() == b"unread"


async def test_what_is_given_away_stays_open(pair: Pair) -> None:
    ours, theirs = pair
    sock = ours.release()
    ours.close()
    with pytest.raises(trio.ClosedResourceError):
        await ours.readable()
    sock.send(b"still here")
    assert theirs.recv(100) == b"still here"
    sock.close()


async def test_a_transport_hears_its_peer(pair: Pair) -> None:
    ours, theirs = pair
    assert not ours.heard
    theirs.send(b"x")
    assert await ours.receive_some() == b"x"
    assert ours.heard


@pytest.mark.parametrize("tls", [False, True])
async def test_a_peer_that_sends_nothing_holds_no_buffer(tls: bool, certificates: Certificates) -> None:
    """A thousand of them held 64 MiB."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        transport = Transport(ours)
        async with trio.open_nursery() as nursery:
            tracemalloc.start()
            try:
                if tls:
                    nursery.start_soon(transport.start_tls, certificates.server)
                else:
                    nursery.start_soon(transport.receive_some)
                await wait_all_tasks_blocked()
                held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            nursery.cancel_scope.cancel()
        transport.close()
    assert held < 16 * 1024


async def test_a_server_takes_two_steps_for_a_handshake(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    steps: list[bool] = []
    handshake = TLSCodec.handshake

    def counted(codec: TLSCodec) -> bool:
        done = handshake(codec)
        if codec._object.server_side:
            steps.append(done)
        return done

    monkeypatch.setattr(TLSCodec, "handshake", counted)
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    server, client = Transport(ours), Transport(theirs)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.start_tls, certificates.server)
            await client.start_tls(certificates.client, "localhost")
    assert steps == [False, True]
    client.close()
    server.close()


class Counted(socket.socket):
    """Counts the calls of ``shutdown``."""

    calls = 0

    def shutdown(self, how: int, /) -> None:
        self.calls += 1
        super().shutdown(how)


@pytest.mark.parametrize("shut", [False, True])
@pytest.mark.parametrize("eof", [False, True])
async def test_close_shuts_a_socket_unless_both_sides_are_shut_already(*, shut: bool, eof: bool) -> None:
    one, theirs = socket.socketpair()
    with Counted(fileno=one.detach()) as ours, theirs:
        transport = Transport(ours)
        if shut:
            transport.shut_sending()
        ours.calls = 0
        transport.close(eof=eof)
        assert ours.calls == (0 if shut and eof else 1)
        assert theirs.recv(1) == b""


async def test_close_wakes_the_second_wait_as_the_first(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    await ours.readable()
    assert ours.receive_now() == b"x"
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await ours.readable()

            await wait_all_tasks_blocked()
            ours.close()
