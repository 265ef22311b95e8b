"""Clients that are cut at random over two servers and a Redis that all fail: each sequence is whole, or told."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.recovery.storm import Plan, storm
from tests.requirements import require, require_node, require_package

PLAN = Plan(
    clients=20, sdks=4, rate=100, channels=2, kept=60, late=20, flow=40, frozen=2.0, away=5, cut_every=0.1,
    patience=120,
)  # fmt: skip


async def test_each_sequence_is_whole_or_told_where_it_is_not(tmp_path: Path) -> None:
    require("redis-server", "valkey-server")
    require_package("glide")
    require_node()
    with trio.fail_after(400):
        async with storm(PLAN, tmp_path) as done:
            assert done.ledger.failures == []
            assert done.ledger.counts["recovered"] > 0
            assert done.ledger.counts["refused, too many"] >= PLAN.away
            assert done.ledger.counts["refused, another epoch"] > 0
            assert done.sdk_report["recovered"] > 0
            assert done.sdk_report["refused"] > 0
            assert done.node_counts["recoveries refused"] > 0
