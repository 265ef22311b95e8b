"""The admin socket: a unix socket at which a running server reports its statistics.

A program writes the line ``statistics`` and gets one line of JSON back, any number of times.
Nothing here changes the server. Only the user that runs the server can open the socket.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio

from wsframe.cli.errors import Mistake
from wsframe.log import Log, log_for
from wsframe.resources.client import Client
from wsframe.resources.server import Distribution, Server
from wsframe.server.bind import bind_unix, unlink_own
from wsframe.server.figures import FAMILIES

__all__ = ["REQUEST", "admin_socket", "answer_admins", "snapshot"]

logger: Log = log_for(__name__)

REQUEST = b"statistics"
LONGEST_LINE = 1000
MOST_ADMINS = 16
SLOWEST = 20


@contextmanager
def admin_socket(path: str) -> Iterator[socket.socket]:
    """Bind a unix socket that only its owner can open, and unlink it at the end."""
    # A mask instead of a later chmod: in between, others could connect.
    mask = os.umask(0o177)
    try:
        sock = bind_unix(path, MOST_ADMINS)
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
    # trio accepts only the standard library's own class, not that of our listening sockets.
    plain = socket.socket(fileno=os.dup(sock.fileno()))
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(plain))
    places = trio.CapacityLimiter(MOST_ADMINS)
    await trio.serve_listeners(partial(answer_admin, server, places), [listener])


async def answer_admin(server: Server, places: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    """Answer one connection until it ends; close it immediately if there are too many."""
    try:
        places.acquire_nowait()
    except trio.WouldBlock:
        return
    try:
        await answer_lines(server, stream)
    except trio.BrokenResourceError:
        pass  # the peer has gone
    except Exception:
        logger.exception("internal error at the admin socket; the connection is closed")
    finally:
        places.release()


async def answer_lines(server: Server, stream: trio.SocketStream) -> None:
    waiting = b""
    while len(waiting) <= LONGEST_LINE:
        line, end, rest = waiting.partition(b"\n")
        if end:
            waiting = rest
            await stream.send_all(json.dumps(answer(server, line.strip())).encode() + b"\n")
        elif more := await stream.receive_some(LONGEST_LINE):
            waiting += more
        else:
            return


def answer(server: Server, request: bytes) -> dict[str, Any]:
    return snapshot(server) if request == REQUEST else {"error": f"unknown request; send {REQUEST.decode()!r}"}


def snapshot(server: Server) -> dict[str, Any]:
    """Return the state of a server, ready for JSON."""
    now = server.statistics()
    return {
        "time": trio.current_time(),
        "addresses": server.addresses,
        **now._asdict(),
        "by_resource": [resource._asdict() for resource in now.by_resource],
        "metrics": {name: series_of(name, numbers) for name, numbers in now.metrics.items()},
        "slowest": [snapshot_of(client) for client in server.slowest_clients(SLOWEST)],
    }


def series_of(name: str, numbers: Mapping[tuple[str, ...], float | Distribution]) -> list[dict[str, Any]]:
    """Return the numbers of one name, each with its labels."""
    names = FAMILIES[name].labels
    return [{"labels": dict(zip(names, labels, strict=True)), **value_of(number)} for labels, number in numbers.items()]


def value_of(number: float | Distribution) -> dict[str, Any]:
    if isinstance(number, Distribution):
        finite = number.bounds[:-1]  # JSON has no infinity
        return {"bounds": finite, "counts": number.counts, "seconds": number.seconds}
    return {"value": number}


def snapshot_of(client: Client) -> dict[str, Any]:
    return {
        "host": client.host,
        "port": client.port,
        "path": client.path,
        "resource": type(client.resource).__name__,
        **client.statistics()._asdict(),
    }
