"""SystemExit drains the server, KeyboardInterrupt passes, and with ``debug=True`` any error ends it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.patience import PATIENCE
from tests.user_code.breaking import (
    HOOKS,
    Breaking,
    Echo,
    Handler,
    around,
    provoke,
    refused,
)
from wsframe import Client, Request, Resource, Response
from wsframe.testing import Refused, open_kit


class Room(Breaking):
    """Raises in a task of its own too."""

    async def received_text(self, client: Client, message: str) -> None:
        if self.where == "resource task":
            self.start_soon(self.tick)
        await super().received_text(client, message)

    async def tick(self) -> None:
        raise self.make()


@pytest.mark.parametrize("where", [*HOOKS, "accept_client", "factory", "origin", "http", "resource task", "log"])
async def test_system_exit_drains_and_comes_out(autojump_clock: MockClock, where: str, log: logging.Logger) -> None:
    def leave() -> BaseException:
        return SystemExit(7)

    async def handler(request: Request) -> Response:
        raise leave()

    def factory(request: Request) -> Resource:
        raise leave()

    room = Room(where, (lambda: ValueError()) if where == "hook_failed" else leave)
    if where == "hook_failed":
        room.make = leave
    registry = around(room)
    registry.register("/origin", Echo(), lambda request: factory(request) is None)
    registry.register_factory("/made/{name}", factory)
    if where == "log":
        log.addHandler(Handler("refused", leave()))
    with pytest.raises(SystemExit) as info:  # noqa: PT012
        async with open_kit(registry, "/x", http_handler=handler) as kit:
            beside = await kit.connect("/x")
            if where in ("accept_client", "factory", "origin", "log"):
                path = {"accept_client": "/x?broken", "factory": "/made/one", "origin": "/origin", "log": "/no"}[where]
                assert await refused(kit, path) == (404 if where == "log" else 503)
            elif where == "http":
                assert (await kit.request("/")).status == 503
            else:
                await provoke(kit, "/x?broken", where)
            assert (await beside.closed()).code == 1001
            await kit.server.closed()
    assert info.value.code == 7
    assert None in room.departed


async def test_system_exit_at_the_start_comes_out(autojump_clock: MockClock) -> None:
    class Opening(Echo):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.leave()
            yield

        def leave(self) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit) as info:
        async with open_kit(Opening()):
            pass
    assert info.value.code == 3


async def test_a_keyboard_interrupt_in_a_hook_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        async with open_kit(around(Breaking("received_text", KeyboardInterrupt)), "/x") as kit:
            broken = await kit.connect("/x?broken")
            broken.send_text("go")
            await trio.sleep(10)


@pytest.mark.parametrize("where", [*HOOKS, "accept_client", "factory", "origin", "http"])
async def test_debug_without_a_terminal_ends_the_server_with_any_error_of_user_code(
    autojump_clock: MockClock,
    where: str,
) -> None:
    async def handler(request: Request) -> Response:
        raise ZeroDivisionError(where)

    def factory(request: Request) -> Resource:
        raise ZeroDivisionError(where)

    registry = around(Breaking(where, lambda: ZeroDivisionError(where)))
    registry.register("/origin", Echo(), lambda request: factory(request) is None)
    registry.register_factory("/made/{name}", factory)
    with pytest.raises(ZeroDivisionError, match=where):  # noqa: PT012
        async with open_kit(registry, "/x", http_handler=handler, debug=True) as kit:
            if where == "http":
                await kit.request("/")
            path = {"factory": "/made/one", "origin": "/origin"}.get(where, "/x?broken")
            with suppress(Refused):
                await provoke(kit, path, where)
            await trio.sleep(10)


PROGRAM = """
import sys
import wsframe


class Room(wsframe.Resource):
    async def received_text(self, client, message):
        sys.exit(int(message))


wsframe.register_global_resource("/", Room())
if __name__ == "__main__":
    wsframe.run(port=0, started=lambda server: print(server.addresses[0], flush=True))
"""


async def test_sys_exit_in_a_hook_is_the_status_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "room.py"
    program.write_text(PROGRAM)
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        url = (await process.stdout.receive_some()).decode().strip()
        async with wsframe.connect(url, proxy=None) as beside, wsframe.connect(url, proxy=None) as leaving:
            await leaving.send("7")
            for websocket in (beside, leaving):
                with pytest.raises(wsframe.ConnectionClosed) as info:
                    await websocket.receive()
                assert info.value.received is not None
                assert info.value.received.code == 1001
        assert await process.wait() == 7
        said = b"".join([piece async for piece in process.stderr])
        assert b"Traceback" not in said
