"""Decides whether a task looks for the next message for some microseconds before it waits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from wsframe.net.poller import Poller

__all__ = ["spinning"]

CGROUPS = Path("/sys/fs/cgroup")


def spinning(poller: Poller, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether it pays to look again: the variable ``WSFRAME_SPIN`` is 1, or not 0 and there are two CPUs.

    On one CPU the peer cannot run in the meantime. It never pays where the poller learns the news from
    other tasks, nor with a clock that is not the machine's, such as trio's for tests: time stands still for it.
    """
    wanted = environment.get("WSFRAME_SPIN", "")
    clock = trio.lowlevel.current_clock()
    in_step = 0.5 < clock.deadline_to_sleep_time(clock.current_time() + 1) < 2
    return poller.asks_kernel and in_step and wanted != "0" and (wanted == "1" or usable_cpus() >= 2)


def usable_cpus(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float:
    """Return how many CPUs this process can use: of the machine, by its affinity, and by the quotas of its cgroups."""
    usable = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:  # the unified hierarchy
                usable = min(usable, *quotas(cgroups, path))
            elif "cpu" in controllers.split(","):
                usable = min(usable, *quotas(cgroups / controllers, path))
    return usable


def quotas(root: Path, path: str) -> list[float]:
    """Return the CPUs that each cgroup from ``path`` up to the root can use, where that is limited."""
    found = [float("inf"), float("inf")]
    places = [root / path.strip("/"), *(root / path.strip("/")).parents]
    for place in places[: places.index(root) + 1]:
        with suppress(OSError, ValueError, ZeroDivisionError):
            if (place / "cpu.max").exists():
                most, period = (place / "cpu.max").read_text().split()
            else:
                most = (place / "cpu.cfs_quota_us").read_text()
                period = (place / "cpu.cfs_period_us").read_text()
            if float(most) > 0:  # else "max", which is not a number, or -1
                found.append(float(most) / float(period))
    return found
