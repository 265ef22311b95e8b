"""The program that is restarted: a resource that hands over, and one that does not.

The environment variable ``DIE_AT`` names a step at which the process kills itself; ``LIVES`` is a file in which each
life notes its beginning and its end.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import wsframe
from wsframe import Client, Resource


def pass_step(name: str) -> None:
    """Die at the step that the environment names, once."""
    flag = os.environ.get("DIE_AT", "")
    if flag.partition("@")[0] == name and os.path.exists(flag.partition("@")[2]):
        os.unlink(flag.partition("@")[2])
        os.kill(os.getpid(), signal.SIGKILL)


def note(what: str, path: str) -> None:
    """Append a line to the file of lives."""
    with open(os.environ["LIVES"], "a") as file:
        file.write(f"{time.monotonic()} {what} {path} {os.getpid()}\n")


class Noted(Resource):
    """Echoes, and notes its lives."""

    path = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        note("begins", self.path)
        pass_step("entering")
        try:
            yield
        finally:
            pass_step("leaving")
            note("ends", self.path)

    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: Client, message: bytes) -> None:
        client.send_binary(bytes(int(message)))


class Moving(Noted):
    """Goes to the next process with its clients."""

    path = "/moving"
    restored = 0

    async def hand_over(self) -> bytes:
        pass_step("hand_over")
        return b"state"

    async def take_over(self, state: bytes) -> None:
        pass_step("take_over")
        assert state == b"state"

    def restore_client(self, client: Client, state: object) -> None:
        self.restored += 1
        if self.restored == 3:
            pass_step("restore_client")


class Staying(Noted):
    """Closes its clients 1012."""

    path = "/staying"


class Room(Noted):
    """Spread over the workers."""

    scope = "path"

    def __init__(self, path: str) -> None:
        self.path = path

    async def hand_over(self) -> bytes:
        return b""


wsframe.register_global_resource("/moving", Moving(), wsframe.any_origin)
wsframe.register_global_resource("/staying", Staying(), wsframe.any_origin)
wsframe.register_global_factory("/rooms/{room}", lambda request: Room(request.path), wsframe.any_origin, scope="path")
