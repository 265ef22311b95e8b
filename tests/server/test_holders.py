"""A server that shares nothing has every partition itself."""

from __future__ import annotations

from wsframe.server.holders import Holders, OneHolder


async def test_a_server_that_shares_nothing_has_every_partition() -> None:
    holders: Holders = OneHolder("a")
    assert {holders.holder_of(partition) for partition in range(256)} == {"a"}
    assert await holders.look_again(7) == "a"
