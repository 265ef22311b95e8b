"""Cancelling ``serve`` at any moment leaves no task and no exception group, also while its engine is connected."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import trio

from tests.backplane.cancelling import cancel_at_each_step, tasks
from tests.backplane.conftest import Engine
from wsframe import Registry, Resource, serve
from wsframe.backplane.interface import Backplane
from wsframe.resources.server import Server

STRIDE = int(os.environ.get("WSFRAME_CANCEL_STRIDE", "11"))
"""Steps between two that are tried; 1 tries all, in a minute for each engine."""


class Room(Resource):
    scope = "shared"


async def until_reached(make: Callable[[], Backplane]) -> None:
    """Serve until the engine has been reached, and a little longer."""
    registry = Registry(alone=True)
    registry.register("/", Room())
    plane = make()
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve, registry, port=0, backplane=plane))
        while await plane.newest("t") is None:  # noqa: ASYNC110
            await trio.sleep(0.005)
        server.close()


async def test_cancelling_serve_at_any_step_leaves_nothing(engine: Engine) -> None:
    _, make = engine
    tried = await cancel_at_each_step(partial(until_reached, make), stride=STRIDE)
    assert tried > 3


async def test_cancelling_serve_while_its_engine_stands_still_leaves_nothing(engine: Engine) -> None:
    server, make = engine
    await until_reached(make)
    before = tasks()
    server.freeze()
    try:
        for seconds in (0.0, 0.05, 0.5):
            with trio.move_on_after(seconds) as scope:
                await until_reached(make)
            assert scope.cancelled_caught
            assert not tasks() - before
    finally:
        server.thaw()
