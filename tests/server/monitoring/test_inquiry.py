"""Inquiries at a unix socket, as one process asks another."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.patience import PATIENCE
from wsframe.server.monitoring.inquiry import MOST_AT_ONCE, answer_inquiries, inquire
from wsframe.server.sockets.bind import bind_unix


async def test_a_long_answer_comes_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def answer(request: bytes) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"asked": request.decode(), "long": "x" * 1_000_000}

    with bind_unix(path, MOST_AT_ONCE) as sock, trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_inquiries, sock, answer)
            assert await inquire(path, b"that") == {"asked": "that", "long": "x" * 1_000_000}
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("answer", [b"", b"{}", b"nonsense\n", b"[1]\n", b"\xff\n"])
async def test_a_peer_that_answers_otherwise_is_none(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "socket")

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    with socket.socket(socket.AF_UNIX) as sock, trio.fail_after(PATIENCE):
        sock.bind(path)
        sock.listen()
        sock.setblocking(False)
        async with trio.open_nursery() as nursery:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=os.dup(sock.fileno()))))
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            assert await inquire(path) is None
            nursery.cancel_scope.cancel()


async def test_nobody_there_is_none(tmp_path: Path) -> None:
    assert await inquire(str(tmp_path / "nothing")) is None
