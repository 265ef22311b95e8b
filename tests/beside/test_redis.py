"""Hooks that use Redis by coredis."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.backplane.redis_server import redis_server
from tests.beside import programs
from tests.patience import PATIENCE
from tests.requirements import require_package
from wsframe.testing import open_kit

require_package("coredis")


async def test_scores_outlive_the_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis_server(tmp_path) as server, trio.fail_after(PATIENCE):
        monkeypatch.setenv("REDIS_URL", server.url.replace("redis+unix", "unix"))
        for expected in ('[["ann",5.0]]', '[["ann",10.0]]'):
            async with open_kit(programs.load("redis_scores").Scores()) as kit:
                ann = await kit.connect()
                await ann.receive_text()
                ann.send_text("ann 5")
                assert await ann.receive_text() == expected
