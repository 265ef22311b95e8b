"""Hundreds of random clients, half of them hostile: the invariants hold and nothing is left behind.

``WSFRAME_CHAOS_SEED=n`` replays a seed; ``WSFRAME_CHAOS_CLIENTS`` and ``WSFRAME_CHAOS_ROUNDS`` scale.
"""

import os

import pytest

from tests.certificates import make_contexts
from tests.chaos.one_round import run_round

SEED = int(os.environ.get("WSFRAME_CHAOS_SEED", "1"))
CLIENTS = int(os.environ.get("WSFRAME_CHAOS_CLIENTS", "300"))
ROUNDS = int(os.environ.get("WSFRAME_CHAOS_ROUNDS", "1"))
# The allocator keeps some of its memory; a leak of a few hundred clients' buffers is far more.
MAY_GROW = 48 * 1024 * 1024


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
async def test_nobody_can_hurt_anybody(seed: int) -> None:
    print(f"WSFRAME_CHAOS_SEED={seed} WSFRAME_CHAOS_CLIENTS={CLIENTS}")
    outcome = await run_round(seed, CLIENTS, make_contexts())
    print(f"{outcome.clients} clients, {outcome.lives} connected, {outcome.events} events")
    print(f"{outcome.seconds:.1f} s, late by {outcome.late:.2f} s at worst")
    assert outcome.faults == [], f"replay with WSFRAME_CHAOS_SEED={seed} WSFRAME_CHAOS_CLIENTS={CLIENTS}"
    assert outcome.lives > CLIENTS // 2
    assert outcome.grown < MAY_GROW
