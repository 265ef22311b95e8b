"""The clock of leases."""

from __future__ import annotations

from wsframe.backplane.boottime import boottime


def test_it_never_goes_back() -> None:
    moments = [boottime() for _ in range(1_000)]
    assert moments == sorted(moments)
