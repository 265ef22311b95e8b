"""The traps of coredis."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.backplane.redis_server import redis_server
from tests.patience import PATIENCE
from tests.requirements import require_package

require_package("coredis")

from wsframe.backplane.redis.address import redis_address  # noqa: E402
from wsframe.backplane.redis.coredis import open_coredis  # noqa: E402

FLOOD = 20_000


async def test_a_connection_that_was_killed_ends(tmp_path: Path) -> None:
    ends = pytest.RaisesGroup(Exception, flatten_subgroups=True)
    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE), ends:
        async with open_coredis(redis_address(server.url), lambda channel, message: None) as connection:
            await connection.subscribe([b"t"])
            server.kill()
            await trio.sleep_forever()


async def test_a_flood_does_not_wait_in_the_library(tmp_path: Path) -> None:
    heard, longest = 0, 0
    done = trio.Event()

    def push(channel: bytes, message: bytes) -> None:
        nonlocal heard, longest
        heard += 1
        longest = max(longest, buffer.statistics().current_buffer_used)
        if heard == FLOOD:
            done.set()

    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE):
        async with open_coredis(redis_address(server.url), push) as connection:
            buffer = connection._connection._push_message_buffer_out
            await connection.subscribe([b"t"])
            script = f"for number = 1, {FLOOD} do redis.call('PUBLISH', 't', number) end return 1"
            assert server.ask("EVAL", script, "0") == b":1\r\n"
            await done.wait()
    assert longest < FLOOD // 4


async def test_many_topics_need_one_confirmation(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE):
        async with open_coredis(redis_address(server.url), lambda channel, message: None) as connection:
            await connection.subscribe([str(number).encode() for number in range(512)])
            assert await connection.commands([("PUBLISH", b"0", b"x"), ("PUBLISH", b"511", b"x")]) == [1, 1]
            await connection.unsubscribe([b"0", b"511"])
            assert await connection.commands([("PUBLISH", b"0", b"x"), ("PUBLISH", b"511", b"x")]) == [0, 0]
