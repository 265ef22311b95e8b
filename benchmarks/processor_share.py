"""Let a process have only a share of a processor, by a control group of Linux; for root alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["limited"]

GROUPS = Path("/sys/fs/cgroup")
FIRST_VERSION = GROUPS / "cpu"
"""The controller's own tree, which the second version of control groups does not have."""
PERIOD = 10_000
"""Microseconds, in each of which the process has its share: short beside a latency that would be noticed."""


def settings(share: float) -> dict[str, str]:
    """Return the text of each file of a group that limits its process."""
    quota = f"{share * PERIOD:.0f}"
    if FIRST_VERSION.is_dir():
        return {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": quota}
    return {"cpu.max": f"{quota} {PERIOD}"}


@contextmanager
def limited(pids: list[int], share: float) -> Iterator[None]:
    """Let each of these processes have this share of a processor, until the body ends.

    Raises:
        OSError: Without root's permission, or without control groups.
    """
    parent = FIRST_VERSION if FIRST_VERSION.is_dir() else GROUPS
    groups = [parent / f"wsframe-benchmark-{pid}" for pid in pids]
    try:
        for group, pid in zip(groups, pids, strict=True):
            group.mkdir()
            for name, text in settings(share).items():
                (group / name).write_text(text)
            (group / "cgroup.procs").write_text(f"{pid}")
        yield
    finally:
        for group in filter(Path.is_dir, groups):
            for member in (group / "cgroup.procs").read_text().split():
                (parent / "cgroup.procs").write_text(member)
            group.rmdir()
