"""Counting the members of a resource."""

from __future__ import annotations

import trio
import trio.testing

from tests.patience import PATIENCE
from wsframe.hooks.members import Members


async def test_the_last_member_ends_the_wait(autojump_clock: trio.testing.MockClock) -> None:
    members = Members()
    members.join()
    members.join()
    members.leave()
    with trio.move_on_after(1) as scope:
        await members.gone_for(0)
    assert scope.cancelled_caught
    members.leave()
    with trio.fail_after(PATIENCE):
        await members.gone_for(0)
    assert members.count == 0


async def test_time_without_members_counts_from_the_last_client(autojump_clock: trio.testing.MockClock) -> None:
    members = Members()
    members.join()
    members.empty_since = float("inf")  # as a client has it that was let in

    async def leave() -> None:
        await trio.sleep(5)
        members.leave()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await members.gone_for(10)
    assert trio.current_time() == 15


async def test_a_newcomer_that_was_refused_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    members = Members()
    members.join()
    members.leave()
    await members.gone_for(10)
    assert trio.current_time() == 0
