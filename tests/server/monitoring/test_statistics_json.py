"""The statistics of a server as JSON and back, and those of several together."""

from __future__ import annotations

import json

from tests.recorder import Recorder
from tests.wire import connected, serving
from wsframe.server.monitoring.statistics_json import snapshot, statistics_of, statistics_to_json, together


async def test_statistics_come_out_of_a_snapshot_as_they_went_in() -> None:
    async with serving(Recorder()) as server, connected(server):
        now = server.statistics()
        assert statistics_of(json.loads(json.dumps(statistics_to_json(now)))) == now
        assert statistics_of(json.loads(json.dumps(snapshot(server)))).clients == 1


async def test_several_servers_together_have_the_sum_and_each_resource_once() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server), connected(server):
        one = server.statistics()
        both = together([one, one])
        assert (both.clients, both.admitted) == (2 * one.clients, 4)
        (resource,) = both.by_resource
        assert (resource.paths, resource.clients) == (one.by_resource[0].paths, 2 * one.by_resource[0].clients)
        assert both.metrics["wsframe_ready"][()] == 2
        assert together([one]) == one


def test_no_server_at_all_has_nothing() -> None:
    nothing = together([])
    assert (nothing.clients, nothing.by_resource, nothing.metrics["wsframe_clients"]) == (0, (), {})
