"""Each process of a hand-over counts its own part, once."""

from __future__ import annotations

import pytest

import wsframe
from tests.handing import Goer, give, take, two_servers
from tests.wire import connected, text
from wsframe.server.monitoring.metric_values import total


def counted(server: wsframe.Server) -> tuple[float, ...]:
    """Return the counts of messages and bytes, which only grow while a process lives."""
    found = server.statistics()
    totals = [total(found.metrics, name, way) for name in MOVING for way in ("in", "out")]
    return *totals, found.messages_received, found.messages_sent, found.bytes_received, found.bytes_sent


MOVING = "wsframe_messages_total", "wsframe_bytes_total"


@pytest.mark.parametrize("taken", [True, False])
async def test_workers_12_no_count_of_either_process_falls_and_nothing_is_counted_twice(taken: bool) -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        for number in range(3):
            await peer.send(text(str(number)))
            await peer.receive_text()
        before = counted(servers[0])
        assert before[:2] == before[4:6] == (3, 3)
        given = await give(servers[0], old)
        assert given is not None
        assert counted(servers[0]) == before
        taking = await take(servers[1], new, given, lambda: taken)
        assert counted(servers[0]) == before
        assert counted(servers[1]) == (0,) * len(before)
        if taking.taken:
            await peer.send(text("on"))
            await peer.receive_text()
            assert counted(servers[1])[:2] == counted(servers[1])[4:6] == (1, 1)
            assert new.only.statistics().messages_received == 4, "of the client"
        assert counted(servers[0]) == before
