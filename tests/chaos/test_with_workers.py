"""Random clients of a service whose workers are killed: nobody but their own clients notices.

``WSFRAME_CHAOS_SEED=n`` replays a seed; ``WSFRAME_CHAOS_CLIENTS`` scales.
"""

from __future__ import annotations

import os

from tests.chaos.with_workers import run_round

SEED = int(os.environ.get("WSFRAME_CHAOS_SEED", "1"))
CLIENTS = int(os.environ.get("WSFRAME_CHAOS_CLIENTS", "40"))


def test_workers_1_only_the_clients_of_killed_workers_notice() -> None:
    outcome = run_round(SEED, CLIENTS)
    assert outcome.faults == [], f"replay with WSFRAME_CHAOS_SEED={SEED} WSFRAME_CHAOS_CLIENTS={CLIENTS}"
    assert outcome.connected > outcome.killed > 0  # on a busy machine most come while a worker is away
