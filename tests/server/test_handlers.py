"""Serving one path with functions, in one call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
import trio

import wsframe
from tests.recorder import Functions
from tests.wire import BOUND, connected, status, stream_to, text
from wsframe import FunctionResource, Request, Response
from wsframe.resources import functions
from wsframe.resources.routing.registry import global_registry
from wsframe.server.handlers import HandlerKeywords


@asynccontextmanager
async def handlers(**arguments: object) -> AsyncIterator[wsframe.Server]:
    def serve(task_status: trio.TaskStatus[wsframe.Server]) -> Awaitable[None]:
        return wsframe.serve_handlers(port=0, task_status=task_status, **arguments)  # type: ignore[arg-type]

    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(serve)
            nursery.cancel_scope.cancel()


async def test_one_call_serves_one_path() -> None:
    functions = Functions()
    async with handlers(path="/ws", open=functions.open, message=functions.message) as server:
        async with connected(server, "/ws", trailing=text("hi")) as peer:
            assert await peer.receive_text() == "hi"
            await peer.finish()
        assert await status(server, "/") == 404
        assert await status(server, "/ws/") == 404
    assert functions.journal.notes == ["open /ws", "message 'hi'"]
    assert "/ws" not in global_registry.paths()


async def test_no_path_is_every_path() -> None:
    functions = Functions()
    async with handlers(path=None, open=functions.open) as server:
        for path in ("/", "/ws", "/a/b/c", "/{room}"):
            async with connected(server, path) as peer:
                await peer.finish()
    assert functions.journal.notes == ["open /", "open /ws", "open /a/b/c", "open /{room}"]


async def test_one_call_with_a_verifier_and_a_page() -> None:
    async def page(request: Request) -> Response:
        return Response(body=f"page {request.path}")

    async with handlers(http_handler=page, request_verifier=lambda request: request.query == {"r": ["1"]}) as server:
        assert await status(server, "/") == 403
        async with connected(server, "/?r=1") as peer:
            await peer.finish()
        async with stream_to(server) as stream:
            await stream.send_all(b"GET /about HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while more := await stream.receive_some():
                answer += bytes(more)
        assert answer.endswith(b"page /about")


def test_whole_program_in_one_call() -> None:
    functions = Functions()

    async def visit(server: wsframe.Server) -> None:
        async with connected(server, "/ws", trailing=text("hi")) as peer:
            assert await peer.receive_text() == "hi"
            await peer.finish()
        server.close()

    def started(server: wsframe.Server) -> None:
        trio.lowlevel.spawn_system_task(visit, server)

    wsframe.run_handlers(path="/ws", message=functions.message, close=functions.close, started=started, port=0)
    assert functions.journal.notes == ["message 'hi'", "close 1000"]


def test_both_calls_take_what_define_resource_takes() -> None:
    taken = set(functions.Functions.__annotations__)
    assert taken == set(inspect.signature(FunctionResource).parameters)
    assert taken | {"path", "origins", "ignore_case"} <= set(HandlerKeywords.__annotations__)


def test_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="uri"):
        wsframe.run_handlers(uri="/ws")  # type: ignore[call-arg]
