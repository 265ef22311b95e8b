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
from wsframe import Client, Resource

ACTS = os.open(os.environ["OWNERS_ACTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
NODE = f"{os.environ['OWNERS_NODE']}/{os.getpid()}"
PATHS = [f"/room/{number}" for number in range(50)]
LONGEST_WAIT = 8.0
"""Seconds for which a hook waits: longer than a lease."""
FLOOD = "x" * 65536
"""The reply to a client that never reads."""


class Counter(Resource):
    """Acts in tasks of wsframe and in one of its own, in hooks that wait beyond the lease, and for posts."""

    scope = "path"

    def __init__(self, path: str) -> None:
        self.path = path

    def act(self, kind: str) -> None:
        at = time.monotonic()
        # Nothing can keep a process that stood still in the middle of a step from going on with that step.
        act = Act(at, self.path, self.ownership.token, NODE, kind, self.ownership.lost)
        os.write(ACTS, act.line())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.act("running")
        self.start_soon(self.count, "task")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.count, "task of its own nursery")
            yield
            nursery.cancel_scope.cancel()
        self.act("left")  # after a loss it does not come so far

    async def count(self, kind: str) -> None:
        while True:
            self.act(kind)
            await trio.sleep(random.uniform(0.1, 0.3))

    async def client_connected(self, client: Client) -> None:
        client.data = 0

    async def received_text(self, client: Client, message: str) -> None:
        number, _, order = message.partition(" ")
        self.act("hook" if int(number) == client.data + 1 else "disorder")
        client.data = int(number)
        client.send_text(FLOOD if order == "flood" else number)
        if order == "wait":
            await trio.sleep(random.uniform(0, LONGEST_WAIT))
            self.act("hook that waited")
        self.post("x")

    async def received_custom(self, message: object) -> None:
        self.act("post")


for path in PATHS:
    wsframe.register_global_resource(path, Counter(path), wsframe.any_origin)
