"""Resources that raise where they are told to, and ways to see that the others are well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Never

import pytest
import trio

from wsframe import Client, Registry, Request, Resource
from wsframe.testing import Kit, MemoryClient, Refused


class Panic(BaseException):
    """Stands for the error of an extension that panicked: it is not an Exception."""


class Evil(Exception):
    def __str__(self) -> str:
        raise Panic

    __repr__ = __str__


class Unreadable(ExceptionGroup[ValueError]):
    """Raises whatever it is asked."""

    def __new__(cls) -> Unreadable:
        return super().__new__(cls, "several", [ValueError()])

    @property
    def exceptions(self) -> Never:
        raise Panic

    def __getattribute__(self, name: str) -> Never:
        raise Panic


async def cancelled() -> trio.Cancelled:
    """Keep the Cancelled of another task, as a cache of results does that caches exceptions too."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            return error
    raise AssertionError


KEPT = trio.run(cancelled)


ERRORS: list[Callable[[], BaseException]] = [
    Panic,
    Evil,
    ValueError,
    GeneratorExit,
    StopAsyncIteration,
    asyncio.CancelledError,
    MemoryError,
    lambda: BaseExceptionGroup("several", [Panic(), ValueError()]),
    Unreadable,
    lambda: KEPT,
    lambda: BaseExceptionGroup("several", [KEPT, ValueError()]),
]

raising = pytest.mark.parametrize("make", ERRORS)


class Echo(Resource):
    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(message)


def around(resource: Resource) -> Registry:
    """Return a registry with a resource at ``/x``, and one beside it that must stay well."""
    registry = Registry(alone=True)
    registry.register("/", Echo())
    registry.register("/x", resource)
    return registry


async def check_well(kit: Kit, path: str = "/") -> None:
    """Check that the server serves on."""
    client = await kit.connect(path)
    client.send_text("well")
    assert await client.receive_text() == "well"
    client.close()
    await client.closed()
    await trio.testing.wait_all_tasks_blocked()


async def provoke(kit: Kit, path: str, where: str) -> MemoryClient:
    """Have each hook of a client called."""
    client = await kit.connect(path)
    client.send_binary(b"one")
    client.send_frame(0xA, b"pong")
    client.send_text("two")
    if where == "disconnected":
        client.close()
    return client


class Breaking(Echo):
    """Raises in one hook for clients with a query, and serves others."""

    def __init__(self, where: str, make: Callable[[], BaseException]) -> None:
        self.where = where
        self.make = make
        self.departed: list[str | None] = []

    def at(self, where: str, request: Request) -> None:
        if where == self.where and request.query_string is not None:
            raise self.make()

    async def accept_client(self, request: Request) -> None:
        self.at("accept_client", request)

    def check_message(self, client: Client, kind: str, frame_length: int, total_length: int) -> None:
        self.at("check_message", client.request)

    async def client_connected(self, client: Client) -> None:
        self.at("client_connected", client.request)

    async def received_text(self, client: Client, message: str) -> None:
        async def task() -> None:
            self.at("task", client.request)

        self.at("received_text", client.request)
        self.at("hook_failed", client.request)
        client.start_soon(task)
        if self.where == "call":
            client.start_soon(self.called, client)
        await super().received_text(client, message)

    async def called(self, client: Client) -> None:
        await self.call(self.at, "call", client.request)

    async def received_binary(self, client: Client, message: bytes) -> None:
        self.at("received_binary", client.request)

    async def received_pong(self, client: Client, payload: bytes) -> None:
        self.at("received_pong", client.request)

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
        if self.where == "hook_failed":
            raise self.make()
        await super().hook_failed(error, hook=hook, client=client)

    async def disconnected(self, client: Client) -> None:
        self.departed.append(client.request.query_string)
        self.at("disconnected", client.request)


HOOKS = [
    "check_message", "client_connected", "received_text", "received_binary", "received_pong",
    "hook_failed", "task", "call", "disconnected",
]  # fmt: skip


async def refused(kit: Kit, path: str = "/x?broken") -> int:
    with pytest.raises(Refused) as info:
        await kit.connect(path)
    return info.value.status


class Handler(logging.Handler):
    """Raises for the lines it is told to."""

    def __init__(self, words: str, error: BaseException) -> None:
        super().__init__()
        self.words = words
        self.error = error
        self.raised = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.raised += 1
            raise self.error
