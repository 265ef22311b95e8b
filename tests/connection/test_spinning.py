"""Where leaders look again before they wait."""

import os
from math import inf
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.links import Poller
from wsframe.connection.spinning import quotas, spinning, usable_cpus

MANY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Hearsay(Poller):
    """Learns the news from other tasks."""

    asks_kernel = False


async def test_spinning_needs_two_cpus_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cpus in (1.0, 1.5, 2.0, 64.0):
        monkeypatch.setattr("wsframe.connection.spinning.usable_cpus", lambda cpus=cpus: cpus)
        found.append(
            [spinning(Poller(), {} if value is None else {"WSFRAME_SPIN": value}) for value in (None, "1", "0")]
        )
    assert found == [[False, True, False], [False, True, False], [True, True, False], [True, True, False]]


async def test_nobody_spins_with_a_clock_that_does_not_run(autojump_clock: MockClock) -> None:
    assert not spinning(Poller(), {"WSFRAME_SPIN": "1"})


async def test_nobody_spins_at_a_poller_that_other_tasks_inform() -> None:
    assert not spinning(Hearsay(), {"WSFRAME_SPIN": "1"})


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("cpu__", "cpu.")).write_text(text + "\n")


def test_quota_of_any_cgroup_around_counts(tmp_path: Path) -> None:
    put(tmp_path, cpu__max="max 100000")
    put(tmp_path / "slice", cpu__max="50000 100000")
    put(tmp_path / "slice" / "unit", cpu__max="300000 100000")
    assert min(quotas(tmp_path, "/slice/unit")) == 0.5
    assert min(quotas(tmp_path, "/slice")) == 0.5
    assert min(quotas(tmp_path, "/")) == inf
    assert min(quotas(tmp_path, "/not/mounted/here")) == inf


@pytest.mark.parametrize(
    "files", [{}, {"cpu__max": ""}, {"cpu__max": "100000 0"}, {"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "9"}]
)
def test_cgroup_without_a_quota_limits_nothing(tmp_path: Path, files: dict[str, str]) -> None:
    put(tmp_path, **files)
    assert min(quotas(tmp_path, "/")) == inf


@pytest.mark.parametrize(
    ("lines", "usable"),
    [
        ("0::/unit", 0.25),
        ("3:memory:/unit\n4:cpu,cpuacct:/unit", 0.5),
        ("1:name=systemd:/unit", MANY),
        ("nonsense", MANY),
        ("", MANY),
    ],
)
def test_both_kinds_of_cgroups_are_asked(tmp_path: Path, lines: str, usable: float) -> None:
    put(tmp_path / "unit", cpu__max="25000 100000")
    put(tmp_path / "cpu,cpuacct" / "unit", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    own = tmp_path / "own"
    own.write_text(lines)
    assert usable_cpus(tmp_path, own) == usable


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path, tmp_path / "none") == MANY
