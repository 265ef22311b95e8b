"""Count the calls and files on the way of one client: ``python -m benchmarks.hops [newcomer|message|close] [--list]``.

A call is that of a Python function of wsframe, or a coroutine of it that goes on. A newcomer lasts from ``connect`` to
its 101, with its request here when it is accepted, a message to its answer, and a close from the client's close frame
to the end of TCP; all that the server then does before it waits belongs to it. Of several clients in turn the one with
the fewest calls counts, because a timer can go off during the others. With ``WSFRAME_SPEEDUPS=0`` it counts the
functions that are C otherwise.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from benchmarks.instructions import ANSWER, CLOSE, HEAD, MESSAGE, connected, take
from wsframe.hooks import stopwatch
from wsframe.server.logs.stderr_log import StderrLog

__all__ = ["WAYS", "Call", "Way", "files", "hops"]

Way = Literal["newcomer", "message", "close"]
WAYS: tuple[Way, ...] = ("newcomer", "message", "close")

PACKAGE = f"{Path(wsframe.__file__).parent}{os.sep}"
CLIENTS = 5
CLOSED = b"\x88\x02\x03\xe8"
PATIENCE = 60.0
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

    async def until_waiting(self) -> list[Call]:
        """Return the calls until all tasks of the server wait."""
        self.calls = []
        sys.setprofile(self)
        try:
            await wait_all_tasks_blocked(QUIET)
        finally:
            sys.setprofile(None)
        return self.calls


@patch.object(stopwatch, "QUICK", inf)  # by the clock, each batch of hooks that is recorded would be a slow one
async def hops() -> dict[Way, list[Call]]:
    """Return the calls of each way."""
    registry, recorder = wsframe.Registry(), Recorder()
    registry.register("/echo", Echo())
    found: dict[Way, list[list[Call]]] = {way: [] for way in WAYS}
    async with wsframe.open_server(registry, host="127.0.0.1", port=0) as server:
        port = int(server.addresses[0].rpartition(":")[2].rstrip("/"))
        for _ in range(CLIENTS):
            # The client has the server's thread to itself: its bytes are here before the server looks.
            await wait_all_tasks_blocked(QUIET)
            with connected(port) as sock:
                sock.settimeout(PATIENCE)
                sock.sendall(HEAD.format("/echo").encode())
                found["newcomer"].append(await recorder.until_waiting())
                assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
                sock.sendall(MESSAGE)
                found["message"].append(await recorder.until_waiting())
                take(sock, ANSWER)
                sock.sendall(CLOSE)
                calls = await recorder.until_waiting()
                assert sock.recv(4096) == CLOSED
                assert sock.recv(4096) == b""
            found["close"].append(calls + await recorder.until_waiting())
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
