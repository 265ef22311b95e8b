"""The admin socket: its permissions, its answers, and the attacks that it withstands."""

import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import wsframe
from tests.recorder import Recorder
from tests.user_code.breaking import Panic
from tests.wire import connected, serving, text
from wsframe.cli import admin
from wsframe.cli.admin import admin_socket, answer_admins
from wsframe.cli.errors import Mistake
from wsframe.server.monitoring.inquiry import LONGEST_LINE, MOST_AT_ONCE


@asynccontextmanager
async def administered(path: Path, room: Recorder) -> AsyncIterator[wsframe.Server]:
    with admin_socket(str(path)) as sock:
        async with serving(room) as server, trio.open_nursery() as nursery:
            nursery.start_soon(answer_admins, sock, server)
            yield server
            nursery.cancel_scope.cancel()


async def ask(stream: trio.SocketStream, data: bytes, lines: int = 1) -> list[dict[str, Any]]:
    await stream.send_all(data)
    answer = b""
    while answer.count(b"\n") < lines:
        more = await stream.receive_some()
        assert more, answer
        answer += bytes(more)
    return [json.loads(line) for line in answer.splitlines()]


def test_only_the_owner_may_open_it_and_it_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "admin"
    mask = os.umask(0)
    try:
        with admin_socket(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(mask)
    assert not path.exists()


def test_the_socket_of_a_server_that_runs_is_not_taken_away(tmp_path: Path) -> None:
    path = str(tmp_path / "admin")
    with admin_socket(path):
        with pytest.raises(Mistake, match=r"--admin: cannot listen at .*: a server is listening"), admin_socket(path):
            pass
        assert os.path.exists(path)


async def test_each_request_is_answered_with_a_snapshot(tmp_path: Path) -> None:
    room = Recorder()
    async with administered(tmp_path / "admin", room) as server, connected(server) as peer:
        await peer.send(text("hello"))
        await room.journal.until("text hello")
        stream = await trio.open_unix_socket(tmp_path / "admin")
        async with stream:
            first, second = await ask(stream, b"statistics\nstat", 1) + await ask(stream, b"istics\r\n")
        assert first["addresses"] == list(server.addresses)
        assert (first["clients"], first["messages_received"], first["slowest"]) == (1, 1, [])
        assert first["by_resource"][0]["paths"] == ["/"]
        assert second["time"] >= first["time"]


async def test_a_client_that_does_not_take_what_is_sent_is_named(tmp_path: Path) -> None:
    room = Recorder()
    async with administered(tmp_path / "admin", room) as server, connected(server, "/?x") as peer:
        await room.journal.until("connected")
        while room.only.send(bytes(256 * 1024)) and not room.only.statistics().bytes_waiting:
            await room.only.drained()
        async with await trio.open_unix_socket(tmp_path / "admin") as stream:
            (now,) = await ask(stream, b"statistics\n")
        (slow,) = now["slowest"]
        assert (slow["host"], slow["port"], slow["path"], slow["resource"]) == ("127.0.0.1", peer.port, "/", "Recorder")
        assert slow["bytes_waiting"] > 0


async def test_an_unknown_request_is_told_so_and_one_without_end_is_cut_off(tmp_path: Path) -> None:
    async with (
        administered(tmp_path / "admin", Recorder()),
        await trio.open_unix_socket(tmp_path / "admin") as stream,
    ):
        assert await ask(stream, b"stop\n\xff\n", 2) == [{"error": "unknown request; send 'statistics'"}] * 2
        await stream.send_all(bytes(LONGEST_LINE + 1))
        assert await ending(stream)


async def ending(stream: trio.SocketStream) -> bool:
    """Wait for the other side to end; bytes that it has not read make the end a reset."""
    try:
        return not await stream.receive_some()
    except trio.BrokenResourceError:
        return True


async def test_there_is_a_bound_on_connections_and_places_are_given_back(tmp_path: Path) -> None:
    async with administered(tmp_path / "admin", Recorder()):
        streams = [await trio.open_unix_socket(tmp_path / "admin") for _ in range(MOST_AT_ONCE)]
        for stream in streams:
            await ask(stream, b"statistics\n")
        async with await trio.open_unix_socket(tmp_path / "admin") as late:
            assert await ending(late)
        await streams.pop().aclose()
        while True:
            async with await trio.open_unix_socket(tmp_path / "admin") as later:
                try:
                    await ask(later, b"statistics\n")
                    break
                except (AssertionError, trio.BrokenResourceError):
                    pass  # the place was not free yet
        for stream in streams:
            await stream.aclose()


async def test_one_that_leaves_without_reading_harms_nobody(tmp_path: Path) -> None:
    async with administered(tmp_path / "admin", Recorder()):
        rude = await trio.open_unix_socket(tmp_path / "admin")
        rude.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        with trio.move_on_after(0.2):
            while True:
                await rude.send_all(b"statistics\n")
        await rude.aclose()
        async with await trio.open_unix_socket(tmp_path / "admin") as stream:
            await ask(stream, b"statistics\n")


@pytest.mark.parametrize("error", [LookupError, Panic])
async def test_a_fault_of_ours_costs_one_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def fail(server: wsframe.Server) -> dict[str, Any]:
        raise error

    async with administered(tmp_path / "admin", Recorder()):
        with monkeypatch.context() as patch:
            patch.setattr(admin, "snapshot", fail)
            async with await trio.open_unix_socket(tmp_path / "admin") as stream:
                await stream.send_all(b"statistics\n")
                assert await ending(stream)
        async with await trio.open_unix_socket(tmp_path / "admin") as stream:
            await ask(stream, b"statistics\n")
    assert "internal error at a socket for inquiries" in caplog.text
