"""Faults of real servers: every hole in numbered messages is told before the message behind it."""

from __future__ import annotations

import trio

from tests.backplane.conftest import Engine
from tests.backplane.faults import Stream, stream
from tests.patience import PATIENCE


def check(made: Stream) -> None:
    """Check the account: holes told, nothing twice, no call that waited."""
    assert made.account.untold == []
    assert made.account.twice == 0
    assert made.account.gaps >= min(1, made.account.holes)
    assert made.longest_call < 10.0


async def test_a_server_that_was_killed_and_restarted(engine: Engine) -> None:
    server, make = engine
    with trio.fail_after(PATIENCE):
        async with stream(make) as made:
            server.kill()
            await made.account.until(lambda: made.account.down_at)
            server.start()
            await made.account.until(lambda: made.account.gaps)
            await made.flows()
    check(made)
    assert made.account.holes >= 1


async def test_connections_that_the_server_killed(engine: Engine) -> None:
    server, make = engine
    with trio.fail_after(PATIENCE):
        async with stream(make) as made:
            for _ in range(3):
                before = made.account.gaps
                server.kill_connections()
                await made.account.until(lambda before=before: made.account.gaps > before)  # type: ignore[misc]
                await made.flows()
    check(made)


async def test_a_server_that_was_frozen(engine: Engine) -> None:
    server, make = engine
    with trio.fail_after(PATIENCE):
        async with stream(make) as made:
            server.freeze()
            try:
                await made.account.until(lambda: made.account.down_at)
                with trio.move_on_after(0.2):
                    await trio.sleep_forever()
            finally:
                server.thaw()
            await made.account.until(lambda: made.account.gaps)
            await made.flows()
    check(made)
