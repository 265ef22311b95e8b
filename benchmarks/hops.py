"""Count the calls and files on the way of one client: ``python -m benchmarks.hops [newcomer|message|close] [--list]``.

A call is that of a Python function of wsframe, or a coroutine of it that goes on. A newcomer lasts from ``connect`` to
its 101, a message to its answer, and a close from the client's close frame to the end of TCP; all that the server then
does before it waits belongs to it. Of several clients in turn the one with the fewest calls counts, because a timer can
go off during the others. With ``WSFRAME_SPEEDUPS=0`` it counts the functions that are C otherwise.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from benchmarks.instructions import ANSWER, CLOSE, MESSAGE, opened, take
from wsframe.server.logs.stderr_log import StderrLog

__all__ = ["WAYS", "Call", "Way", "files", "hops"]

Way = Literal["newcomer", "message", "close"]
WAYS: tuple[Way, ...] = ("newcomer", "message", "close")
ResultT = TypeVar("ResultT")

PACKAGE = f"{Path(wsframe.__file__).parent}{os.sep}"
CLIENTS = 5
QUIET = 0.02
"""Seconds in which no task of the server does anything, after which it waits."""


class Call(NamedTuple):
    """A call of a function of the package."""

    file: str
    function: str
    depth: int
    """The calls of the package around it."""


class Echo(wsframe.Resource):
    """Sends each message back."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)


class Recorder:
    """Writes down the calls of the thread that it is made in."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take an event of the interpreter."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            depth, caller = 0, frame.f_back
            while caller is not None:
                depth += caller.f_code.co_filename.startswith(PACKAGE)
                caller = caller.f_back
            self.calls.append(Call(code.co_filename.removeprefix(PACKAGE), code.co_qualname, depth))

    async def during(self, step: Callable[[], ResultT]) -> tuple[ResultT, list[Call]]:
        """Take a step of the client in another thread; return its result, and the calls until the server waits."""
        await wait_all_tasks_blocked(QUIET)
        self.calls = []
        sys.setprofile(self)
        try:
            result = await trio.to_thread.run_sync(step)
            await wait_all_tasks_blocked(QUIET)
        finally:
            sys.setprofile(None)
        return result, self.calls


def echo(sock: socket.socket) -> None:
    sock.sendall(MESSAGE)
    take(sock, ANSWER)


def close(sock: socket.socket) -> None:
    with sock:
        sock.sendall(CLOSE)
        while sock.recv(4096):
            pass


async def hops() -> dict[Way, list[Call]]:
    """Return the calls of each way."""
    registry, recorder = wsframe.Registry(), Recorder()
    registry.register("/echo", Echo())
    found: dict[Way, list[list[Call]]] = {way: [] for way in WAYS}
    async with wsframe.open_server(registry, host="127.0.0.1", port=0) as server:
        port = int(server.addresses[0].rpartition(":")[2].rstrip("/"))
        for _ in range(CLIENTS):
            sock, calls = await recorder.during(partial(opened, port, "/echo"))
            found["newcomer"].append(calls)
            found["message"].append((await recorder.during(partial(echo, sock)))[1])
            found["close"].append((await recorder.during(partial(close, sock)))[1])
    return {way: min(calls, key=len) for way, calls in found.items()}


def files(calls: list[Call]) -> set[str]:
    """Return the files of calls."""
    return {call.file for call in calls}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hops", description=__doc__)
    parser.add_argument("way", nargs="?", choices=WAYS, help="default: all")
    parser.add_argument("--list", action="store_true", help="print each call, in order")
    options = parser.parse_args()
    os.environ["WSFRAME_SPIN"] = "0"  # how often a task looks again depends on the time
    logger = logging.getLogger("wsframe")
    logger.setLevel(logging.INFO)
    with open(os.devnull, "w") as nowhere:
        logger.addHandler(StderrLog(nowhere))
        found = trio.run(hops)
    for way, calls in found.items():
        if options.way in (None, way):
            print(f"{way}: {len(calls)} calls in {len(files(calls))} files")
            for call in calls if options.list else ():
                print(f"  {call.file:34} {'  ' * call.depth}{call.function}")


if __name__ == "__main__":
    main()
