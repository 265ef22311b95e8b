"""Inquiries at a unix socket: a program writes a line with a request and gets a line of JSON, any number of times."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import trio

from wsframe.log import Log, log_for
from wsframe.user_code.errors import contain

__all__ = ["LONGEST_LINE", "MOST_AT_ONCE", "REQUEST", "Answer", "answer_inquiries", "inquire", "unknown"]

logger: Log = log_for(__name__)

REQUEST = b"statistics"
LONGEST_LINE = 1000
MOST_AT_ONCE = 16
LONGEST_ANSWER = 64 * 1024 * 1024

Answer: TypeAlias = Callable[[bytes], Awaitable[dict[str, Any]]]
"""Answers one request."""


async def answer_inquiries(sock: socket.socket, answer: Answer) -> None:
    """Answer every connection, until cancelled."""
    # trio accepts only the standard library's own class, not that of our listening sockets.
    plain = socket.socket(fileno=os.dup(sock.fileno()))
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(plain))
    places = trio.CapacityLimiter(MOST_AT_ONCE)
    await trio.serve_listeners(partial(answer_one, answer, places), [listener])


async def answer_one(answer: Answer, places: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    """Answer one connection until it ends; close it immediately if there are too many."""
    try:
        places.acquire_nowait()
    except trio.WouldBlock:
        return
    try:
        await answer_lines(answer, stream)
    except trio.BrokenResourceError:
        pass  # the peer has gone
    except BaseException as error:
        contain(error)
        logger.error("internal error at a socket for inquiries; the connection is closed", exc_info=error)
    finally:
        places.release()


async def answer_lines(answer: Answer, stream: trio.SocketStream) -> None:
    waiting = b""
    while len(waiting) <= LONGEST_LINE:
        line, end, rest = waiting.partition(b"\n")
        if end:
            waiting = rest
            await stream.send_all(json.dumps(await answer(line.strip())).encode() + b"\n")
        elif more := await stream.receive_some(LONGEST_LINE):
            waiting += more
        else:
            return


def unknown(request: bytes) -> dict[str, Any]:
    """Answer an unknown request."""
    return {"error": f"unknown request; send {REQUEST.decode()!r}"}


async def inquire(path: str, request: bytes = REQUEST) -> dict[str, Any] | None:
    """Ask once at a unix socket; None if nobody answers there."""
    answer = b""
    try:
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(request + b"\n")
            while not answer.endswith(b"\n") and len(answer) < LONGEST_ANSWER:
                more = await stream.receive_some()
                if not more:
                    return None
                answer += more
        found = json.loads(answer)
    except (OSError, trio.BrokenResourceError, ValueError):
        return None
    return found if isinstance(found, dict) else None
