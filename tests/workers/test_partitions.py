"""Partitions: numbers that all processes compute alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from wsframe.workers.partitions import EVERYWHERE, ONE, PARTITIONS, partition_of, slot_of

PROGRAM = """
from wsframe.workers.partitions import partition_of
print([partition_of(f"/rooms/{{room}}\\n/rooms/{number}", "path") for number in range(50)])
"""


def test_all_of_scope_one_share_the_first_partition() -> None:
    assert {partition_of(f"/{number}", "one") for number in range(100)} == {ONE}


def test_no_key_of_scope_path_is_in_the_first_partition() -> None:
    partitions = [partition_of(f"/rooms/{number}", "path") for number in range(5000)]
    assert min(partitions) == 1
    assert max(partitions) == PARTITIONS - 1


def test_shared_resources_live_everywhere() -> None:
    assert partition_of("/hot", "shared") == EVERYWHERE


def test_5_one_key_has_one_partition_in_every_process() -> None:
    def computed_with(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
        ).stdout

    assert computed_with("1") == computed_with("2")


def test_a_key_can_have_any_characters() -> None:
    assert partition_of("/caf\xe9\udcff", "path") == partition_of("/caf\xe9\udcff", "path")


def test_partitions_are_spread_evenly_over_slots() -> None:
    slots = Counter(slot_of(partition_of(f"/rooms/{number}", "path"), 4) for number in range(4000))
    assert set(slots) == {0, 1, 2, 3}
    assert max(slots.values()) < 1.2 * min(slots.values())


def test_the_first_partition_is_in_the_first_slot_however_many_there_are() -> None:
    assert {slot_of(ONE, count) for count in range(1, 20)} == {0}
