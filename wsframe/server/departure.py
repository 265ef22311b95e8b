"""The order in which clients leave: in one step if they are few, otherwise in batches at random times.

If thousands leave in one step, all of them come back in one step, wherever they go. So more than 100 clients
leave in at least 20 batches of about the same size, each at a random moment of its share of the time. The
clients of one group leave together, in one step: a group is one client, or all clients of a partition, which
cannot be in two places at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import ceil
from random import Random
from typing import TypeVar

import trio

__all__ = ["depart", "planned"]

OneT = TypeVar("OneT")

# At most this many clients leave in one step; a batch has about as many.
AT_ONCE = 100
FEWEST_BATCHES = 20


def planned(
    groups: Sequence[Collection[OneT]], seconds: float, chance: Random | None = None
) -> list[tuple[float, list[OneT]]]:
    """Return the batches in which the members of groups leave, each with the seconds after which it does.

    Args:
        groups: The groups, whose members stay together.
        seconds: The time for all batches.
        chance: Decides about the order and the times.
    """
    total = sum(map(len, groups))
    if total <= AT_ONCE or seconds <= 0:
        return [(0.0, [one for group in groups for one in group])]
    chance = chance or Random()  # no secret
    count = max(FEWEST_BATCHES, ceil(total / AT_ONCE))
    batches: list[list[OneT]] = [[] for _ in range(count)]
    before = 0
    for group in chance.sample(groups, len(groups)):
        batches[before * count // total] += group
        before += len(group)
    step = seconds / count
    return [(step * (at + chance.random()), batch) for at, batch in enumerate(batches) if batch]


async def depart(
    groups: Sequence[Collection[OneT]],
    seconds: float,
    leave: Callable[[Collection[OneT]], object],
    stays: Callable[[OneT], bool],
) -> None:
    """Have the members of groups leave, and wait until the last batch has its close frame.

    Args:
        groups: The groups, whose members leave together.
        seconds: The time for all of them.
        leave: Called with each batch.
        stays: Says whether one is still there: it does not wait for a batch whose members have all gone.
    """
    begun = trio.current_time()
    for at, batch in planned(groups, seconds):
        if any(map(stays, batch)):
            await trio.sleep_until(begun + at)
            leave([one for one in batch if stays(one)])
