"""The admin socket: a unix socket at which a running server reports its statistics.

Only a request to rebalance changes the server. Only the user that runs the server can open the socket.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wsframe.cli.errors import Mistake
from wsframe.resources.server import Server
from wsframe.server.monitoring.inquiry import MOST_AT_ONCE, REQUEST, answer_inquiries, unknown
from wsframe.server.monitoring.nodes import nodes_of
from wsframe.server.monitoring.statistics_json import snapshot
from wsframe.server.ownership.partition_owner import REQUEST_REBALANCE, rebalanced
from wsframe.server.sockets.bind import bind_unix, unlink_own

__all__ = ["admin_socket", "answer_admins"]


@contextmanager
def admin_socket(path: str) -> Iterator[socket.socket]:
    """Bind a unix socket that only its owner can open, and unlink it at the end."""
    # A mask instead of a later chmod: in between, others could connect.
    mask = os.umask(0o177)
    try:
        sock = bind_unix(path, MOST_AT_ONCE)
    except OSError as error:
        raise Mistake(f"--admin: cannot listen at {path}: {error.strerror or error}") from None
    finally:
        os.umask(mask)
    bound_as = os.stat(path)
    try:
        yield sock
    finally:
        sock.close()
        unlink_own(path, bound_as)


async def answer_admins(sock: socket.socket, server: Server) -> None:
    """Answer every connection, until cancelled."""

    async def answer(request: bytes) -> dict[str, Any]:
        if request == REQUEST_REBALANCE:
            return rebalanced(server)
        return {**snapshot(server), "nodes": await nodes_of(server)} if request == REQUEST else unknown(request)

    await answer_inquiries(sock, answer)
