"""The traps of valkey-glide."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.backplane.redis_server import redis_server
from tests.patience import PATIENCE
from tests.requirements import require_package

require_package("glide")

from glide import GlideClient  # noqa: E402

from wsframe.backplane.redis.address import redis_address  # noqa: E402
from wsframe.backplane.redis.glide import _made_in_thread, _ThreadMadeClient, open_glide  # noqa: E402


async def test_a_server_that_does_not_answer_holds_up_nobody(tmp_path: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.01)
            ticks += 1

    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE):
        server.freeze()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            with pytest.raises(Exception, match="timed out"):
                async with open_glide(redis_address(server.url), lambda channel, message: None):
                    pass
            nursery.cancel_scope.cancel()
        server.thaw()
    assert ticks > 10  # in the second or two of the attempt


async def test_a_connection_made_in_silence_receives_nothing(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE):
        async with open_glide(redis_address(server.url), lambda channel, message: heard.append(message)) as connection:
            await connection.subscribe([b"t"])
            assert await connection.commands([("PUBLISH", b"t", b"x")]) == [1]
            (before,) = await connection.commands([("CLIENT", "ID")])
            server.ask("CLIENT", "KILL", "ID", str(before))
            while True:
                try:
                    (after,) = await connection.commands([("CLIENT", "ID")])
                except Exception:
                    await trio.sleep(0.05)
                    continue
                if after != before:
                    break
            await trio.sleep(4)  # by itself the library would subscribe again after three
            assert await connection.commands([("PUBLISH", b"t", b"y")]) == [0]
    assert heard == [b"x"]


async def test_each_confirmation_belongs_to_its_topic(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE):
        async with open_glide(redis_address(server.url), lambda channel, message: None) as connection:
            for number in range(50):
                await connection.subscribe([f"{number}-{one}".encode() for one in range(20)])
                assert await connection.commands([("ECHO", str(number))]) == [str(number).encode()]
            assert await connection.commands([("PUBLISH", b"49-19", b"x")]) == [1]


async def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def create(configuration: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(_ThreadMadeClient, "create", create)
    with pytest.raises(RuntimeError, match=r"install valkey-glide 2\.6"):
        _made_in_thread(None)


def test_the_method_that_is_put_off_is_there() -> None:
    assert hasattr(GlideClient, "_setup_pipe_after_creation")
