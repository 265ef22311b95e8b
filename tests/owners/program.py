"""The program of one server: rooms that note each act with their token, in a file that all servers append to."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import wsframe
from tests.owners.acts import Act
from wsframe import Client, Request, Resource

ACTS = os.open(os.environ["OWNERS_ACTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
NODE = os.environ["OWNERS_NODE"]
LONGEST_WAIT = 8.0
"""Seconds for which a hook waits: longer than a lease."""


class Counter(Resource):
    """Acts in a task, in hooks that wait beyond the lease, and for posts."""

    scope = "path"

    def __init__(self, path: str) -> None:
        self.path = path

    def act(self, kind: str) -> None:
        if self.ownership.lost:  # a process that stood still in the middle of a step goes on with it
            return
        act = Act(time.monotonic(), self.path, self.ownership.token, NODE, kind)
        os.write(ACTS, act.line())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.act("running")
        self.start_soon(self.count)
        yield

    async def count(self) -> None:
        while True:
            self.act("task")
            await trio.sleep(random.uniform(0.1, 0.3))

    async def received_text(self, client: Client, message: str) -> None:
        self.act("hook")
        client.send_text(message)
        await trio.sleep(random.uniform(0, LONGEST_WAIT) if message == "wait" else 0)
        self.act("hook that waited")
        self.post("x")

    async def received_custom(self, message: object) -> None:
        self.act("post")


def make(request: Request) -> Counter:
    """Make the room of a path."""
    return Counter(request.path)


wsframe.register_global_factory("/room/{name}", make, wsframe.any_origin, scope="path")
