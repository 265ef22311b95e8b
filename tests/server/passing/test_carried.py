"""The connections that a server carries for others: how they end when it leaves."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from tests.patience import PATIENCE
from wsframe import ServeOptions
from wsframe.net.pump import Pump
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.passing.carried import Carried
from wsframe.server.sockets.listen import Bound

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


@asynccontextmanager
async def carrying(sent: bytes) -> AsyncIterator[tuple[Carried, Pump, socket.socket, socket.socket]]:
    """Carry a connection whose owner has sent some bytes; yields the far ends too: the client and the owner."""
    carried = Carried(ServeOptions())
    async with trio.open_nursery() as nursery:
        await nursery.start(carried.loop.run)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            accepted, address = listening.accept()
            ours, owner = socket.socketpair()
            with client, owner:
                for sock in (accepted, ours):
                    sock.setblocking(False)
                newcomer = Newcomer(accepted, "127.0.0.1", address[1], Bound(sock=listening))
                pump = carried.carry(newcomer, ours, b"")
                assert newcomer.handed_over
                owner.send(sent)
                with trio.fail_after(PATIENCE):
                    await trio.lowlevel.wait_readable(client)
                    yield carried, pump, client, owner
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (HEAD, b"\x88\x05\x03\xf4bye"),
        (HEAD + b"\x81\x02hi", b"\x88\x05\x03\xf4bye"),
        (HEAD + b"\x88\x02\x03\xe8", b""),
        (HEAD + b"\x81\x05hal", None),
        (b"HTTP/1.1 200 OK\r\n\r\nhalf a page", None),
    ],
    ids=["no frame yet", "at a boundary", "after a close frame", "inside a frame", "inside a page"],
)
async def test_a_close_frame_goes_out_where_a_frame_can_follow_else_a_reset(sent: bytes, end: bytes | None) -> None:
    async with carrying(sent) as (carried, pump, client, owner):
        carried.send_away([pump], 1012, "bye")
        assert client.recv(65536) == sent + (end or b"")
        if end is None:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        else:
            assert client.recv(1) == b""
        assert owner.recv(1) == b""
        client.close()
        await carried.loop.until_empty()
        carried.send_away([pump], 1012, "again")


@asynccontextmanager
async def departing(carried: Carried, seconds: float) -> AsyncIterator[None]:
    """Have all connections depart within some seconds; the body says when they can."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(carried.depart, seconds, 1012, "bye", all_of_them=True))
        await trio.testing.wait_all_tasks_blocked()
        yield


@pytest.mark.parametrize(
    ("sent", "rest", "end"),
    [
        (HEAD[:20], HEAD[20:], b"\x88\x05\x03\xf4bye"),
        (HEAD + b"\x81\x05hal", b"lo", b"\x88\x05\x03\xf4bye"),
        (b"HTTP/1.1 200 OK\r\n\r\nhalf", b" a page", b""),
    ],
    ids=["a newcomer", "inside a frame", "inside a page"],
)
async def test_workers_3_one_that_no_close_frame_can_reach_yet_is_waited_for(
    sent: bytes, rest: bytes, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.server.passing.carried.STAY", 0)
    async with carrying(sent) as (carried, _, client, owner):
        async with departing(carried, PATIENCE):
            assert client.recv(65536) == sent
            owner.send(rest)
            if not end:
                owner.shutdown(socket.SHUT_WR)
            client.shutdown(socket.SHUT_WR)
        received = b""
        while data := client.recv(65536):
            received += data
        assert received == rest + end


async def test_workers_3_one_that_has_just_opened_can_have_its_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.server.passing.carried.STAY", PATIENCE)
    async with carrying(HEAD) as (carried, _, client, owner):
        async with departing(carried, PATIENCE):
            owner.send(b"\x81\x02hi")
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert client.recv(65536) == HEAD + b"\x81\x02hi"
            monkeypatch.setattr("wsframe.server.passing.carried.STAY", 0)
        assert client.recv(65536) == b"\x88\x05\x03\xf4bye"


async def test_one_that_cannot_be_told_in_time_is_reset() -> None:
    async with carrying(HEAD + b"\x81\x05hal") as (carried, _, client, _):
        assert client.recv(65536)
        async with departing(carried, 0):
            pass
        with pytest.raises(ConnectionResetError):
            client.recv(1)


async def test_owners_that_end_in_time_are_waited_for() -> None:
    async with carrying(HEAD) as (carried, _, client, owner):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carried.finish, 60, 1001, "server stopping")
            await trio.testing.wait_all_tasks_blocked()
            owner.shutdown(socket.SHUT_WR)
            client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == HEAD
        assert client.recv(1) == b""


async def test_others_are_told_to_go() -> None:
    async with carrying(HEAD) as (carried, _, client, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carried.finish, 0, 1001, "server stopping")
            nursery.start_soon(carried.depart, 0, 1001, "server stopping")
            client.setblocking(True)
            client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == HEAD + b"\x88\x11\x03\xe9server stopping"
